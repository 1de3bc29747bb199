"""A trained network put to use: rebuilt from what a run kept, asked for predictions, exported."""
