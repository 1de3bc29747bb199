"""The charts of the report, as inline SVG: one module for each, on a few shared primitives."""
