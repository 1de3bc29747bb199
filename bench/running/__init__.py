"""Running: which cells run in what order, in which process, and what is kept of them."""
