"""Images in folders: what a folder holds, which layout it has, and what is wrong with it.

Keys are paths below the root with forward slashes. Links are followed inside the root, and out of
it only where that is asked for.
"""

import difflib
import hashlib
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple, get_args

from bench.data.dataset import Dataset, Item, shortened
from bench.errors import DataError, first
from bench.record import Part

IMAGE_ENDINGS = {
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".dib", ".avif", ".jp2"),
    *(".tga", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm"),
}
JUNK_NAMES = {
    *("thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "@eadir", "$recycle.bin", "icon\r")
}

Kind = Literal[
    "folder", "image", "other", "junk", "loop", "unnamed", "outside", "nowhere", "problem"
]
"""A "loop" is a link back to a folder above it."""

PROBLEMS: Mapping[Kind, str] = {
    "unnamed": "its name is not UTF-8: rename it",
    "outside": "a link that leaves the folder: put a copy of its target in its place, or have such "
    "links followed with follow_links = true below [dataset]",
    "nowhere": "a link to nothing: take it out",
}

PART_NAMES: Mapping[str, Part] = {
    "train": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}
PART_WORDS: Mapping[str, Part] = {
    **PART_NAMES,
    **dict.fromkeys(("training", "trainset"), "train"),
    **dict.fromkeys(("validate", "validating", "valset", "dev", "eval", "evaluation"), "val"),
    **dict.fromkeys(("testing", "tests", "testset"), "test"),
}
"""Words in the names of parts: `Training`, `images_test`. A class may have such a name as well, so
they count only for folders that hold the same folders."""
LAYOUT = (
    "expected {source}/<class>/<images>, or {source}/train/<class>/<images> with test/ or val/ "
    "beside train/"
)


Listing = Mapping[Kind, Sequence[str]]
"""Keys by what lies there; of a problem, a line that begins with the key."""


class Place(NamedTuple):
    part: Part | None  # None where the data set has no official split
    key: str  # path below the root, "" for the root itself
    listing: Listing

    @property
    def name(self) -> str:
        """The class, composed: file systems may store the same letters decomposed."""
        return unicodedata.normalize("NFC", PurePosixPath(self.key).name)


class Root(NamedTuple):
    """A folder that holds images, and which links in it count."""

    path: Path
    follow_links: bool = False  # also those that leave it


def scan_folder(source: str, follow_links: bool = False) -> Dataset:
    root = Root(existing_folder(source), follow_links)
    top = list_folder(root, "")
    branches, beside = layout_of(root, top)
    keys = [(branch.part, key) for branch in branches for key in branch.listing["folder"]]
    folders = [Place(part, key, list_tree(root, key)) for part, key in keys]
    parts = [branch.listing for branch in branches if branch.key]
    everything = merged([top, *parts, *beside.values(), *(f.listing for f in folders)])
    problems = [
        *part_problems(source, branches, beside),
        *class_problems(source, branches, folders),
        *(f"{source}/{line}" for line in everything["problem"]),
    ]
    if problems:
        raise DataError(shortened(problems))
    classes = tuple(sorted({folder.name for folder in folders}, key=by_number))
    items = hashed_items(source, classes, folders)
    loose = sum(len(listing["image"]) for listing in (top, *parts))
    deep = sum(bool(folder.listing["folder"]) for folder in folders)
    left_out = notes(everything, loose, deep)
    return Dataset(root.path.resolve().name, source, classes, items, True, left_out)


def existing_folder(source: str) -> Path:
    """The folder, if there is one; DataError with similar names if not."""
    root = Path(source)
    if root.is_dir():
        return root
    if root.exists():
        raise DataError([f"{source}: is a file: name the folder that holds the class folders"])
    siblings = [e.name for e in os.scandir(root.parent)] if root.parent.is_dir() else []
    near = difflib.get_close_matches(root.name, siblings, n=3)
    known = difflib.get_close_matches(source, ["digits"])
    guesses = [f'"{name}"' for name in [*known, *(str(root.parent / name) for name in near)]]
    meant = f" - did you mean {' or '.join(guesses)}?" if guesses else ""
    raise DataError([f'{source}: no such folder{meant} (or "digits", which needs no folder)'])


def by_number(name: str) -> tuple[tuple[int, int, str], ...]:
    """A key to sort by in which class 2 comes before class 10."""
    pieces = re.split(r"(\d+)", name)
    return *((0, int(p), "") if p.isdecimal() else (1, 0, p) for p in pieces if p), (-1, 0, name)


def layout_of(root: Root, top: Listing) -> tuple[list[Place], dict[str, Listing]]:
    """The folders that hold class folders, and what lies below the folders beside them.

    Folders called train, val or test are parts if one of them holds folders or nothing else is
    there. Names alone do not decide: "train" may be a class, between "bus" and "tram".

    Raises DataError where folders hold the same folders, and their names do not tell why.
    """
    listings = {key: list_folder(root, key) for key in top["folder"]}
    inner = {key: PART_NAMES[key.lower()] for key in listings if key.lower() in PART_NAMES}
    if len(inner) < len(listings) and not any(listings[key]["folder"] for key in inner):
        inner = {}
    alike = holding_the_same(listings)
    if alike:
        named = {key: part for key in alike if (part := part_of(key))}
        inner |= named if {"train"} <= set(named.values()) and len(named) > 1 else {}
    if not inner:
        if len(alike) == len(listings) > 1 and set.intersection(*alike.values()):
            raise DataError([unclear_layout(root.path, alike)])
        return [Place(None, "", top)], {}
    branches = [Place(part, key, listings[key]) for key, part in sorted(inner.items())]
    return branches, {key: list_tree(root, key) for key in listings if key not in inner}


def holding_the_same(listings: Mapping[str, Listing]) -> dict[str, set[str]]:
    """Folders that share at least half of the names of their folders with another of them."""
    names = {
        key: {PurePosixPath(folder).name for folder in listing["folder"]}
        for key, listing in listings.items()
    }

    def share(one: set[str], other: set[str]) -> bool:
        return len(one & other) > 1 and 2 * len(one & other) >= min(len(one), len(other))

    return {
        key: own
        for key, own in names.items()
        if any(share(own, other) for beside, other in names.items() if beside != key)
    }


def part_of(name: str) -> Part | None:
    """The part that the words of a folder's name tell, if they tell one."""
    words = set(re.split(r"[^a-z]+", name.lower()))
    found = {PART_WORDS[word] for word in words & PART_WORDS.keys()}
    return found.pop() if len(found) == 1 else None


def unclear_layout(root: Path, alike: Mapping[str, set[str]]) -> str:
    folders = first([f"{key}/" for key in sorted(alike)], 3)
    inside = first(sorted(set.intersection(*alike.values())), 3)
    return (
        f"{root}: {folders} hold the same folders ({inside}): if they are parts, call them train, "
        "val and test; if they are classes, move the images up into them"
    )


def part_problems(
    source: str, branches: Sequence[Place], beside: Mapping[str, Listing]
) -> list[str]:
    names: dict[Part | None, list[str]] = {}
    for branch in branches:
        names.setdefault(branch.part, []).append(f"{branch.key}/")
    problems = [
        f"{source}: {' and '.join(keys)} are both {part}: keep one"
        for part, keys in names.items()
        if len(keys) > 1
    ]
    if not {None, "train"} & names.keys():
        found = " and ".join(chain(*names.values()))
        problems.append(f"{source}: {found} without train/: add it")
    return problems + [
        f"{source}/{key}: {images(listing)} beside the parts: move them into one, or out"
        for key, listing in beside.items()
        if listing["image"]
    ]


def class_problems(source: str, branches: Sequence[Place], folders: Sequence[Place]) -> list[str]:
    problems = [
        f"{source}/{folder.key}: no images in this class folder ({holding(folder.listing)})"
        for folder in folders
        if not folder.listing["image"]
    ]
    for branch in branches:
        where = f"{source}/{branch.key}".rstrip("/")
        names = {folder.name: folder.key for folder in folders if folder.part == branch.part}
        if branch.part in (None, "train") and len(names) < 2:
            too_few = too_few_classes(source, branch.listing, names)
            problems.append(f"{where}: {too_few}; {LAYOUT.format(source=source)}")
        if branch.part in ("val", "test"):
            known = {folder.name for folder in folders if folder.part == "train"}
            if known and branch.listing["image"] and not names:
                problems.append(f"{where}: {images(branch.listing)} and no class folders")
                continue
            problems += [
                f"{where}: no folder for class {n!r}" for n in sorted(known - names.keys())
            ]
            problems += [
                f"{where}: class {name!r} is not in train: add it there, or take it out"
                for name in sorted(names.keys() - known)
            ]
    return problems


def too_few_classes(source: str, listing: Listing, found: Mapping[str, str]) -> str:
    """`found` is the key of the one class by its name, or empty."""
    for name, key in found.items():
        deeper = len(list_folder(Root(Path(source)), key)["folder"]) > 1
        hint = f" - did you mean {source}/{key}?" if deeper else ""
        return f"only one class, {name!r}; at least two are needed{hint}"
    return f"no class folders ({holding(listing)})"


def holding(listing: Listing) -> str:
    found = [images(listing)] if listing["image"] else []
    found += [f"{number} {ending}" for ending, number in endings(listing["other"])]
    if broken := [*listing["problem"], *listing["loop"]]:
        found.append(f"{len(broken)} that cannot be used, such as {broken[0]}")
    return f"found {', '.join(found)}" if found else "it is empty"


def images(listing: Listing) -> str:
    number = len(listing["image"])
    return "1 image" if number == 1 else f"{number} images"


def endings(keys: Iterable[str]) -> list[tuple[str, int]]:
    """How many files have each ending, the commonest first, at most five."""
    counts = Counter(ending_of(key) or "without ending" for key in keys)
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:5]


def notes(listing: Listing, outside: int, deep: int) -> tuple[str, ...]:
    kinds = ", ".join(f"{ending} {number}" for ending, number in endings(listing["other"]))
    counted = {
        "files or folders that file managers leave were ignored": len(listing["junk"]),
        f"files that are not images were ignored ({kinds})": len(listing["other"]),
        "images outside the class folders were ignored": outside,
        "links that lead to a folder above them, or that was seen, were ignored": len(
            listing["loop"]
        ),
        "class folders that hold folders, all of whose images are of the class": deep,
    }
    return tuple(f"{text}: {number}" for text, number in counted.items() if number)


def hashed_items(source: str, classes: Sequence[str], folders: Sequence[Place]) -> tuple[Item, ...]:
    """Every image with its label and hash, in the order of the keys; DataError for unreadable."""
    found = sorted((key, folder) for folder in folders for key in folder.listing["image"])
    labels = {name: label for label, name in enumerate(classes)}
    problems: list[str] = []

    def hashed(key: str) -> str:
        try:
            return hashlib.sha256(Path(source, key).read_bytes()).hexdigest()
        except OSError as error:
            problems.append(f"{source}/{key}: cannot be read ({error.strerror})")
            return ""

    with ThreadPoolExecutor() as pool:
        hashes = list(pool.map(hashed, [key for key, _ in found]))
    if problems:
        raise DataError([*shortened(sorted(problems)), "repair these files or take them out"])
    return tuple(
        Item(key, labels[folder.name], sha256, folder.part)
        for (key, folder), sha256 in zip(found, hashes, strict=True)
    )


def list_folder(root: Root, key: str) -> Listing:
    """What lies directly in one folder below the root ("" for the root itself)."""
    found: dict[Kind, list[str]] = {kind: [] for kind in get_args(Kind)}
    try:
        entries = sorted(os.scandir(root.path / key), key=lambda entry: entry.name)
    except OSError as error:
        found["problem"].append(f"{key}: cannot be listed ({error.strerror})")
        return found
    for entry in entries:
        inner = f"{key}/{entry.name}" if key else entry.name
        kind = kind_of(root, inner, entry)
        if kind in PROBLEMS:
            found["problem"].append(f"{as_unicode(inner)}: {PROBLEMS[kind]}")
        else:
            found[kind].append(inner)
    # Photographs that Pillow cannot read: ignoring them silently would change the data set.
    if number := sum(ending_of(other) in (".heic", ".heif") for other in found["other"]):
        text = f"{key}: {number} HEIC images cannot be read: convert them to JPEG"
        found["problem"].append(text)
    return found


def kind_of(root: Root, key: str, entry: os.DirEntry[str]) -> Kind:
    """What an entry of a folder is; the first that applies."""
    if entry.name.startswith(".") or entry.name.lower() in JUNK_NAMES:
        return "junk"
    if as_unicode(entry.name) != entry.name:
        return "unnamed"
    if entry.is_symlink():
        target, top = (Path(os.path.realpath(path)) for path in (entry, root.path))
        if not (root.follow_links or target.is_relative_to(top)):
            return "outside"
        if not target.exists():
            return "nowhere"
        # Of the folders that were walked through to reach it, the root, as ".", among them.
        walked = {Path(os.path.realpath(root.path / parent)) for parent in Path(key).parents}
        if target in walked or top.is_relative_to(target):
            return "loop"
    if entry.is_dir():
        return "folder"
    return "image" if ending_of(entry.name) in IMAGE_ENDINGS and entry.is_file() else "other"


def ending_of(key: str) -> str:
    return PurePosixPath(key).suffix.lower()


def as_unicode(name: str) -> str:
    return name.encode(errors="replace").decode()


def list_tree(root: Root, key: str) -> Listing:
    """What lies below one folder at any depth, each folder once, however many links lead there."""
    listings, seen = [list_folder(root, key)], {os.path.realpath(root.path / key)}
    again: dict[Kind, list[str]] = {kind: [] for kind in get_args(Kind)}
    for listing in listings:  # grows while it is walked, so that every folder is reached
        for folder in listing["folder"]:
            place = os.path.realpath(root.path / folder)
            if place in seen:
                again["loop"].append(folder)
            else:
                seen.add(place)
                listings.append(list_folder(root, folder))
    return merged([*listings, again])


def merged(listings: Iterable[Listing]) -> Listing:
    return {kind: sorted(chain(*(one[kind] for one in listings))) for kind in get_args(Kind)}
