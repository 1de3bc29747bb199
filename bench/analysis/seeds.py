"""Old names, kept until the rooms that import them read `bench.analysis.table` and `choice`."""

from bench.analysis.stats import seed_variances as seed_variances
