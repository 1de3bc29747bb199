"""report.html: one file that shows the whole of a run."""
