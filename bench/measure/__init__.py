"""Measurement: the machine, and what a cell costs on it."""
