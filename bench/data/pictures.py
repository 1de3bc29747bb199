"""Picture files as they are meant to be seen, and the squares that networks are given of them.

It needs Pillow and numpy alone, because every export carries a copy of it.
"""

import re
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from io import BytesIO
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

JPEG = b"\xff\xd8"
PNG = b"\x89PNG\r\n\x1a\n"
LAST_BYTES = 4
END_OF_JPEG = b"\xff\xd9"

FORMATS = (
    *("JPEG", "PNG", "WEBP", "GIF", "BMP", "DIB", "AVIF", "JPEG2000", "TIFF", "PPM"),
    "TGA",  # last, since it has no mark of its own
)
"""All that is ever opened: Pillow knows others, and starts a program for some of them."""

ORIENTATION = 0x0112
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

BITS, WHITENESS, XMP = 258, 262, 700
PIXEL_TAGS = {
    *(254, 256, 257, BITS, 259, WHITENESS, 266, 273, 277, 278, 279, 284, 292, 293, 317, 320, 322),
    *(323, 324, 325, 332, 334, 338, 339, 347, *range(512, 522), 529, 530, 531, 532, 50674),
}
"""What a TIFF needs for its pixels: layout, compression, colours (TIFF 6.0, LERC)."""

XMP_BYTES = 1 << 20
"""Of compressed text that are looked at."""

BAND_PIXELS = 1 << 20
"""Converted in one go, so that a large picture needs no second whole copy on the way."""

WHOLE_PIXELS = 1 << 24
"""Of a resized picture, of which more than the centre is made: 64 MiB."""

WHITE = 65535
"""Of 16-bit grey, where nothing else is known."""

Claim = Callable[[int], None]
"""Hears of the pixels that are about to be decoded, and may wait until there is room."""


class Described(NamedTuple):
    """A file without what only describes it, and what says how to turn it."""

    content: bytes
    exif: bytes = b""
    xmp: bytes = b""
    inverted: bool = False  # its 0 is white and Pillow takes it for black


class Resize(NamedTuple):
    """How a picture becomes a square: shorter side resized to `size`, then the centre cut out.

    Squashed, both sides are resized to `size`, whatever their ratio.
    """

    size: int
    interpolation: str
    antialias: bool
    squash: bool = False


class Square(NamedTuple):
    """The centre of a resized picture, and the size of that picture."""

    pixels: NDArray[np.uint8]  # [3, size, size]
    height: int
    width: int

    def centre(self, size: int) -> NDArray[np.uint8]:
        own = self.pixels.shape[-1]
        top = margin(self.height, size) - margin(self.height, own)
        left = margin(self.width, size) - margin(self.width, own)
        return self.pixels[:, top : top + size, left : left + size]


def margin(length: int, size: int) -> int:
    """Pixels before a centre crop, rounded as torchvision's `center_crop` does."""
    return round((length - size) / 2)


def resized_shape(picture: Image.Image, resize: Resize) -> tuple[int, int]:
    """Width and height."""
    (width, height), size = picture.size, resize.size
    longer = size if resize.squash else int(size * max(width, height) / min(width, height))
    return (size, longer) if width <= height else (longer, size)


def resized(
    picture: Image.Image, resize: Resize, box: tuple[float, float, float, float] | None = None
) -> Image.Image:
    """What torchvision's `resize` makes of it. Pillow always smooths, as all presets ask."""
    shape = (resize.size, resize.size) if box else resized_shape(picture, resize)
    return picture.resize(shape, Image.Resampling[resize.interpolation.upper()], box)


def square_of(picture: Image.Image, resize: Resize) -> Square:
    """The centre of the resized picture.

    Of a very thin one no more than that is made: whole, a line of pixels would fill the memory.
    Pillow may then smooth down before across, and round at other places.
    """
    (width, height), size = resized_shape(picture, resize), resize.size
    left, top = margin(width, size), margin(height, size)
    if width * height <= WHOLE_PIXELS:
        centre = resized(picture, resize).crop((left, top, left + size, top + size))
    else:
        across, down = picture.width / width, picture.height / height
        right = min((left + size) * across, picture.width)
        bottom = min((top + size) * down, picture.height)
        centre = resized(picture, resize, (left * across, top * down, right, bottom))
    return Square(np.asarray(centre).transpose(2, 0, 1), height, width)


def unclaimed(num_pixels: int) -> None:
    """There is room for any picture."""


def read(content: bytes, white: int = WHITE, claim: Claim = unclaimed) -> Image.Image:
    """The picture in a file's bytes: mode RGB, upright. Raises nearly anything, as Pillow does.

    The first frame, turned as EXIF or XMP say, 16-bit grey scaled to 0..white (Pillow would clip
    it to 255), and transparency laid over white (most transparent pictures are dark on nothing and
    would vanish over black). No colour profiles. A JPEG may lack the marker at its end.
    """
    try:
        return decoded(content, white, claim)
    except OSError:
        ended = with_its_end(content, claim) if content.startswith(JPEG) else None
        if ended is None:
            raise
    return decoded(ended, white, claim)


def grey_range(content: bytes, claim: Claim = unclaimed) -> tuple[int, int] | None:
    """The least and the largest value of 16-bit grey; None for a picture of another kind."""
    with Image.open(BytesIO(sieved(content).content), formats=FORMATS) as picture:
        if not picture.mode.startswith("I"):
            return None
        claim(picture.width * picture.height)
        values_HW = np.asarray(picture)
    return int(values_HW.min()), int(values_HW.max())


def may_be_deep(head: bytes) -> bool:
    """Whether a file that begins so may hold 16-bit grey; 32 bytes tell of most that it does not.

    The header of a PNG has the depth in byte 24, and the kind of colour in byte 25.
    """
    if head.startswith(PNG):
        return head[24:26] == b"\x10\0"
    return not head.startswith((JPEG, b"GIF8", b"RIFF", b"BM"))


def decoded(content: bytes, white: int, claim: Claim) -> Image.Image:
    file = sieved(content)
    with Image.open(BytesIO(file.content), formats=FORMATS) as picture:
        claim(picture.width * picture.height)
        return upright_rgb(picture, file, white)


def upright_rgb(picture: Image.Image, file: Described, white: int = WHITE) -> Image.Image:
    picture.load()
    exif = file.exif or picture.info.get("exif", b"")
    turn = TURNS.get(orientation(exif, file.xmp or picture.info.get("xmp", b"")))
    turned = picture if turn is None else picture.transpose(turn)
    return in_bands(turned, lambda band: to_rgb(band, white, file.inverted))


def in_bands(picture: Image.Image, convert: Callable[[Image.Image], Image.Image]) -> Image.Image:
    if picture.width * picture.height <= BAND_PIXELS:
        return convert(picture)
    rgb = Image.new("RGB", picture.size)
    rows = max(1, BAND_PIXELS // picture.width)
    for top in range(0, picture.height, rows):
        band = picture.crop((0, top, picture.width, min(top + rows, picture.height)))
        rgb.paste(convert(band), (0, top))
    return rgb


def to_rgb(picture: Image.Image, white: int, inverted: bool) -> Image.Image:
    """Mode RGB; ValueError if its values have no scale. Pillow converts CMYK, palettes, grey."""
    if picture.mode.startswith("I"):
        return from_grey(np.asarray(picture), WHITE, white, inverted)
    if picture.mode == "F":
        return from_grey(np.asarray(picture), 1, 1, inverted)
    if picture.has_transparency_data:
        layer = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return picture.convert("RGB")


def from_grey(values_HW: NDArray[Any], most: int, white: int, inverted: bool) -> Image.Image:
    """RGB of grey values, of which `white` and more are white; ValueError outside 0..most."""
    if not (values_HW.min() >= 0 and values_HW.max() <= most):  # so that NaN is refused too
        raise ValueError(f"values outside 0..{most} have no known scale: convert it to 8 bits")
    seen_HW = np.minimum(values_HW, values_HW.dtype.type(white))
    bright_HW = white - seen_HW if inverted else seen_HW
    bytes_HW = np.rint(bright_HW * np.float32(255) / white).astype(np.uint8)
    return Image.fromarray(bytes_HW).convert("RGB")


# ---- what describes a picture ---------------------------------------------------------------
# Cameras and programs write it in every wrong way, and Pillow refuses or loses pictures over it.
# So it is taken out first; of all that it says, only how to turn the picture matters here.


def without_segments(content: bytes) -> Described:
    """A JPEG without its application segments, but for the two that matter to its colours."""
    kept, found, at = [content[:2]], list[bytes](), 2
    for marker, start, end in segments(content):
        kept.append(content[at:start])
        if marker in range(0xE1, 0xF0) and marker != 0xEE:
            found.append(content[start + 4 : end])
        else:
            kept.append(content[start:end])
        at = end
        if marker == 0xDA:
            break
    exif = b"".join(part[6:] for part in found if part.startswith(b"Exif\0\0"))
    xmp = b"".join(part for part in found if part.startswith(b"http://ns.adobe.com/xap/1.0/\0"))
    return Described(b"".join([*kept, content[at:]]), exif, xmp)


def segments(content: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, start and end of a JPEG's segments, as far as they are whole.

    Before a marker FF may be repeated; 00 and D0 to D7 belong to the pixels (ITU-T T.81, B.1.1).
    """
    at, mark = 2, re.compile(rb"\xff([^\x00\xd0-\xd7\xff])")
    while found := mark.search(content, at):
        marker, start = found[1][0], found.start()
        if marker == 0xD9 or found.end() + 2 > len(content):
            return
        at = found.end() + int.from_bytes(content[found.end() : found.end() + 2], "big")
        if at > len(content):
            return
        yield marker, start, at


def without_chunks(content: bytes) -> Described:
    """A PNG with nothing but the chunks that make its pixels."""
    kept, exif, xmp, at = [PNG], b"", b"", len(PNG)
    while at + 12 <= len(content):
        (length, kind), start = struct.unpack_from(">L4s", content, at), at
        data, at = content[at + 8 : at + 8 + length], at + 12 + length
        if at > len(content) or kind[:1].isupper() or kind == b"tRNS":
            kept.append(content[start:at])
        elif kind == b"eXIf":
            exif = data
        elif kind in (b"tEXt", b"zTXt", b"iTXt"):
            name, text = text_of(kind, data)
            if name == b"XML:com.adobe.xmp":
                xmp = text
            elif name == b"Raw profile type exif" and not exif:
                exif = from_hex(text)
    return Described(b"".join([*kept, content[at:]]), exif, xmp)


def text_of(kind: bytes, data: bytes) -> tuple[bytes, bytes]:
    """Keyword and text of a PNG's chunk; of compressed text the beginning, nothing if damaged."""
    name, _, text = data.partition(b"\0")
    packed = kind == b"zTXt" or (kind == b"iTXt" and text[:1] == b"\1")
    text = {b"tEXt": text, b"zTXt": text[1:], b"iTXt": text[2:].split(b"\0", 2)[-1]}[kind]
    try:
        return name, zlib.decompressobj().decompress(text, XMP_BYTES) if packed else text
    except zlib.error:
        return name, b""


def from_hex(text: bytes) -> bytes:
    """The block that ImageMagick writes as hexadecimal digits after a name and a length."""
    digits = b"".join(text.split(b"\n")[3:])
    return bytes.fromhex(digits.decode()) if re.fullmatch(rb"([0-9a-fA-F]{2})*", digits) else b""


class Entry(NamedTuple):
    tag: int
    kind: int
    length: int  # how many values
    value: bytes  # four, or where they are


class Directory(NamedTuple):
    """The first directory of a TIFF, or of an EXIF block, which is laid out as one."""

    order: str
    start: int
    entries: list[Entry]

    def number(self, tag: int) -> int | None:
        """The value of a tag that is a whole number of 16 or 32 bits."""
        for entry in self.entries:
            if entry.tag == tag:
                form = self.order + {3: "H", 4: "L", 8: "h", 9: "l"}.get(entry.kind, "")
                inside = 0 < entry.length * struct.calcsize(form) <= len(entry.value)
                return int(struct.unpack_from(form, entry.value)[0]) if inside else None
        return None


def directory_of(tiff: bytes) -> Directory | None:
    """None where there is none; BigTIFF has one of another kind."""
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None or len(tiff) < 8 or b"*" not in tiff[2:4]:
        return None
    (start,) = struct.unpack_from(f"{order}L", tiff, 4)
    if start + 2 > len(tiff):
        return None
    (count,) = struct.unpack_from(f"{order}H", tiff, start)
    count = min(count, (len(tiff) - start - 2) // 12)
    places = range(start + 2, start + 2 + 12 * count, 12)
    entries = [Entry(*struct.unpack_from(f"{order}HHL4s", tiff, place)) for place in places]
    return Directory(order, start, entries)


def without_tags(content: bytes) -> Described:
    """A TIFF with nothing but the tags that make its pixels, and 0 for black."""
    directory = directory_of(content)
    if directory is None:
        return Described(content)
    order, _, entries = directory
    one = struct.pack(f"{order}HH", 1, 0)
    # Pillow turns 8 bits over itself, and takes no notice in deeper pictures or refuses them.
    inverted = (directory.number(BITS) or 0) > 8 and directory.number(WHITENESS) == 0
    kept = [
        entry._replace(value=one) if inverted and entry.tag == WHITENESS else entry
        for entry in entries
        if entry.tag in PIXEL_TAGS
    ]
    xmp = b"".join(
        content[place : place + entry.length]
        for entry in entries
        if entry.tag == XMP
        for (place,) in [struct.unpack(f"{order}L", entry.value)]
    )
    return Described(holding(content, directory, kept), content, xmp, inverted)


def holding(tiff: bytes, directory: Directory, kept: list[Entry]) -> bytes:
    """The same bytes with fewer entries in the directory, and everything else where it was."""
    order, start, entries = directory
    table = [struct.pack(f"{order}HHL4s", *entry) for entry in kept]
    after = start + 2 + 12 * len(entries)
    new = b"".join([struct.pack(f"{order}H", len(kept)), *table, tiff[after : after + 4]])
    return tiff[:start] + new + tiff[start + len(new) :]


def without_other_tags(content: bytes) -> Described:
    """An AVIF with nothing but the orientation in its EXIF block, which Pillow reads as it opens.

    AVIF says itself how it is turned, and Pillow puts that in the place of what EXIF says.
    """
    found = re.search(rb"Exif\0\0(?=II\*\0|MM\0\*)", content)
    if content[4:8] != b"ftyp" or found is None:
        return Described(content)
    tiff = content[found.end() :]
    directory = directory_of(tiff)
    if directory is None:
        return Described(content)
    kept = [entry for entry in directory.entries if entry.tag == ORIENTATION]
    return Described(content[: found.end()] + holding(tiff, directory, kept))


def sieved(content: bytes) -> Described:
    sieve = next((row for mark, row in SIEVES.items() if content.startswith(mark)), Described)
    return sieve(content)


SIEVES: Mapping[bytes, Callable[[bytes], Described]] = {
    JPEG: without_segments,
    PNG: without_chunks,
    b"II*\0": without_tags,
    b"MM\0*": without_tags,
    b"\0\0\0": without_other_tags,  # and the length of its first box
}


def orientation(exif: bytes, xmp: bytes) -> int:
    """1 to 8, as EXIF has it or else XMP; 1 where neither says."""
    directory = directory_of(re.sub(rb"^(Exif\0\0)+", b"", exif))
    found = directory.number(ORIENTATION) if directory else None
    if found is None and (said := re.search(rb'tiff:Orientation(?:="|>)([0-9])', xmp)):
        return int(said[1])
    return found or 1


# ---- JPEGs that end too early ---------------------------------------------------------------


def with_its_end(content: bytes, claim: Claim) -> bytes | None:
    """The JPEG with the marker at its end; None if more than that is missing.

    Decoders fill what is missing from whatever follows. So nothing is missing where two
    continuations, one of them the end at once, give the same picture; and nothing is in the place
    of what is missing, as zeros are in a file that was never written whole, where the last bytes
    matter.
    """
    bare = content.rstrip(b"\xff")
    last_scan = last_scan_of(bare)
    if last_scan is None:
        return None
    restarts = re.findall(rb"\xff([\xd0-\xd7])", bare)
    following = 0xD0 + (restarts[-1][0] + 1) % 8 if restarts else 0xD0
    noise = bytes(k * 89 % 251 for k in range(1, 251))  # without FF, which would be a marker
    going_on = noise + bytes([0xFF, following]) + noise
    shorter = bare[: max(last_scan, len(bare) - LAST_BYTES)]
    tails = (bare, bare + going_on, shorter + going_on)
    seen, same, other = (decoded(tail + END_OF_JPEG, WHITE, claim).tobytes() for tail in tails)
    return bare + END_OF_JPEG if seen == same != other else None


def last_scan_of(content: bytes) -> int | None:
    """Where the pixels of the last scan begin; None if a scan is missing.

    All together bring every coefficient of every component to the last bit.
    """
    components, pixels = b"", 0
    done: set[tuple[int, int]] = set()
    for marker, start, end in segments(content):
        data = content[start + 4 : end]
        if marker in (0xC0, 0xC1, 0xC2):
            components = data[6::3]
        elif marker == 0xDA and data and len(data) == 4 + 2 * data[0]:
            (first, last, bits), pixels = data[-3:], end
            if bits % 16 == 0:
                names = data[1 : 1 + 2 * data[0] : 2]
                done |= {(name, k) for name in names for k in range(first, last + 1)}
    wanted = {(name, k) for name in components for k in range(64)}
    return pixels if wanted and done >= wanted else None
