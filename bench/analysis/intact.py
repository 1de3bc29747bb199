"""Old name, kept until the rooms that import it read `bench.analysis.consistency`."""

from bench.analysis.consistency import damaged as damaged
