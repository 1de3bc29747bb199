"""Architectures: what there is, which weights it starts from, and how it is built."""
