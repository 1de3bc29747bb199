"""Seeds: one for each use of randomness, so that none depends on how much another drew."""

import hashlib


def derived_seed(seed: int, purpose: str) -> int:
    """The seed of one use ("head", "batches", "dropout", ...) of a cell's seed."""
    return int(hashlib.sha256(f"{seed} {purpose}".encode()).hexdigest()[:12], 16)
