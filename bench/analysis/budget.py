"""Old names, kept until the rooms that import them read `bench.analysis.table` and `choice`."""

from bench.analysis.choice import LIMITED as LIMITED
from bench.analysis.choice import Budget as Budget
from bench.analysis.choice import best_within as best_within
from bench.analysis.choice import cheapest_within as cheapest_within
from bench.analysis.choice import fits as fits
