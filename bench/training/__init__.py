"""Training: what a strategy trains, the loop that does it, and how it is scored."""
