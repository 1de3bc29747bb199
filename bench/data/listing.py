"""What lies in a folder: folders, images, other files, and what file managers leave behind.

Keys are paths below the root with forward slashes. Links are followed inside the root only.
"""

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

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


Kind = Literal[
    "folder", "image", "other", "junk", "loop", "unreadable", "unnamed", "outside", "nowhere"
]
PROBLEMS: Mapping[Kind, str] = {
    "unnamed": "its name is not UTF-8: rename it",
    "outside": "a link that leaves the folder: put a copy of its target in its place",
    "nowhere": "a link to nothing: take it out",
}


class Listing(NamedTuple):
    """Sorted keys of what was found, and counts of what was passed over."""

    folders: tuple[str, ...]
    images: tuple[str, ...]
    others: tuple[str, ...]  # files that are no images, or none that can be read
    junk: int
    loops: int
    problems: tuple[str, ...]  # each begins with a key


def list_folder(root: Path, key: str) -> Listing:
    """What lies directly in one folder below the root ("" for the root itself)."""
    found: dict[Kind, list[str]] = defaultdict(list)
    try:
        entries = sorted(os.scandir(root / key), key=lambda entry: entry.name)
    except OSError as error:
        return Listing((), (), (), 0, 0, (f"{key}: cannot be listed ({error.strerror})",))
    for entry in entries:
        inner = f"{key}/{entry.name}" if key else entry.name
        found[kind_of(root, inner, entry)].append(inner)
    problems = [
        f"{printable(inner)}: {text}" for kind, text in PROBLEMS.items() for inner in found[kind]
    ]
    if number := len(found["unreadable"]):
        problems.append(f"{key}: {number} HEIC images cannot be read: convert them to JPEG")
    return Listing(
        tuple(found["folder"]),
        tuple(found["image"]),
        (*found["other"], *found["unreadable"]),
        len(found["junk"]),
        len(found["loop"]),
        tuple(problems),
    )


def kind_of(root: Path, key: str, entry: os.DirEntry[str]) -> Kind:
    """What an entry of a folder is; the first that applies."""
    if entry.name.startswith(".") or entry.name.lower() in JUNK_NAMES:
        return "junk"
    if printable(entry.name) != entry.name:
        return "unnamed"
    if entry.is_symlink():
        target = Path(os.path.realpath(entry))
        if not target.is_relative_to(os.path.realpath(root)):
            return "outside"
        if not target.exists():
            return "nowhere"
        if leads_back(root, key):
            return "loop"
    if entry.is_dir():
        return "folder"
    ending = os.path.splitext(entry.name)[1].lower()
    if ending in UNREADABLE_ENDINGS:
        return "unreadable"
    return "image" if ending in IMAGE_ENDINGS and entry.is_file() else "other"


def printable(name: str) -> str:
    """The name with a question mark for every byte that is not UTF-8."""
    return name.encode(errors="replace").decode()


def leads_back(root: Path, key: str) -> bool:
    """Whether a link leads to one of the folders that were walked through to reach it."""
    above = [root / parent for parent in Path(key).parents]  # the root, as ".", among them
    return os.path.realpath(root / key) in {os.path.realpath(folder) for folder in above}


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
