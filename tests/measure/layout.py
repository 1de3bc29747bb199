"""Files of a machine, laid out where a test wants them."""

from pathlib import Path


def lay_out(root: Path, files: dict[str, str]) -> Path:
    """Write the files below `root`, which is returned."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root
