"""What lies in a folder: folders, images, other files, and what file managers leave behind.

Keys are paths below the root with forward slashes. Links are followed inside the root only.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

JPEG_ENDINGS = {".jpg", ".jpeg", ".jpe", ".jfif"}
TIFF_ENDINGS = {".tif", ".tiff"}
NETPBM_ENDINGS = {".ppm", ".pgm", ".pbm", ".pnm"}
OTHER_ENDINGS = {".png", ".webp", ".gif", ".bmp", ".dib", ".avif", ".jp2", ".tga"}
IMAGE_ENDINGS = frozenset(JPEG_ENDINGS | TIFF_ENDINGS | NETPBM_ENDINGS | OTHER_ENDINGS)
UNREADABLE_ENDINGS = frozenset({".heic", ".heif"})
"""Photographs that Pillow cannot read: leaving them out in silence would change the data set."""

JUNK_NAMES = frozenset(
    {"thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "@eadir", "$recycle.bin", "icon\r"}
)


class Listing(NamedTuple):
    """Sorted keys of what was found, and counts of what was passed over."""

    folders: tuple[str, ...]
    images: tuple[str, ...]
    others: tuple[str, ...]
    junk: int
    loops: int
    problems: tuple[str, ...]  # each begins with a key


def list_folder(root: Path, key: str) -> Listing:
    """What lies directly in one folder below the root ("" for the root itself)."""
    folders: list[str] = []
    images: list[str] = []
    others: list[str] = []
    problems: list[str] = []
    junk = loops = 0
    try:
        entries = sorted(os.scandir(root / key), key=lambda entry: entry.name)
    except OSError as error:
        return Listing((), (), (), 0, 0, (f"{key}: cannot be listed ({error.strerror})",))
    for entry in entries:
        inner = f"{key}/{entry.name}" if key else entry.name
        ending = os.path.splitext(entry.name)[1].lower()
        if entry.name.startswith(".") or entry.name.lower() in JUNK_NAMES:
            junk += 1
        elif problem := name_problem(inner) or link_problem(root, inner):
            problems.append(problem)
        elif entry.is_dir():
            if leads_back(root, inner):
                loops += 1
            else:
                folders.append(inner)
        elif ending in UNREADABLE_ENDINGS:
            problems.append(f"{inner}: {ending} images cannot be read: convert them to JPEG")
        elif ending in IMAGE_ENDINGS and entry.is_file():
            images.append(inner)
        else:
            others.append(inner)
    return Listing(tuple(folders), tuple(images), tuple(others), junk, loops, tuple(problems))


def name_problem(key: str) -> str | None:
    """Why a name cannot be written to a report, if it cannot."""
    try:
        key.encode()
    except UnicodeEncodeError:
        return f"{key.encode(errors='replace').decode()}: its name is not UTF-8: rename it"
    return None


def link_problem(root: Path, key: str) -> str | None:
    """What is wrong with a link: it leaves the root, or leads nowhere."""
    path = root / key
    if not path.is_symlink():
        return None
    target = Path(os.path.realpath(path))
    if not target.is_relative_to(os.path.realpath(root)):
        return f"{key}: a link that leaves the folder: put a copy of its target in its place"
    return None if target.exists() else f"{key}: a link to nothing: take it out"


def leads_back(root: Path, key: str) -> bool:
    """Whether a folder is a link to one of the folders that were walked through to reach it."""
    path = root / key
    if not path.is_symlink():
        return False
    above = [root, *(root / parent for parent in Path(key).parents)]
    return os.path.realpath(path) in {os.path.realpath(folder) for folder in above}


def list_tree(root: Path, key: str) -> Listing:
    """What lies below one folder at any depth; `folders` is empty."""
    listings = [list_folder(root, key)]
    for listing in listings:  # grows while it is walked, so that every folder is reached
        listings += [list_folder(root, folder) for folder in listing.folders]
    return merged(listings)


def merged(listings: Sequence[Listing]) -> Listing:
    """Several listings as one without folders."""
    return Listing(
        (),
        tuple(sorted(key for listing in listings for key in listing.images)),
        tuple(sorted(key for listing in listings for key in listing.others)),
        sum(listing.junk for listing in listings),
        sum(listing.loops for listing in listings),
        tuple(line for listing in listings for line in listing.problems),
    )
