"""Old names, kept until the rooms that import them read `bench.analysis.table` and `choice`."""

from bench.analysis.paired import Z_POWER as Z_POWER
from bench.analysis.paired import Settling as Settling
