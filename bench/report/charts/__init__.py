"""The figures of reports and histories, as functions of a run's table and its summary."""
