"""Reports, tables and plots, rebuilt from a run folder alone, without torch."""
