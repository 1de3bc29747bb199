"""Picture files from scratch: what only describes them, what they lack, and what they are not."""

import io
import os
import struct
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin
from torchvision.transforms import functional as transforms

from bench.data import pictures
from bench.data.dataset import Dataset
from bench.data.decoded import key
from bench.data.folder import IMAGE_ENDINGS
from bench.data.pictures import FORMATS, PIXEL_TAGS, Resize, read, square_of
from bench.data.sources import PIXEL_BYTES, Room, open_image, open_path, scaled, scan
from bench.errors import DataError

UPRIGHT = (8, 16)  # of a picture that is stored 16 wide and 8 high, and says to be turned
LYING = (16, 8)
SHORT, RATIONAL = 3, 5
ROOT = Path(__file__).parent.parent.parent


def saved(picture: Image.Image, file_format: str, **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, file_format, **options)
    return file.getvalue()


def grey_ramp() -> Image.Image:
    return Image.fromarray(np.arange(128, dtype=np.uint8).reshape(8, 16) * 2)


def exif(*tags: tuple[int, int, int, bytes], order: str = "<") -> bytes:
    """An EXIF block of these tags: number, type, count, the bytes of the value."""
    entries, values = b"", b""
    for tag, kind, count, data in sorted(tags):
        place = struct.pack(f"{order}L", 8 + 2 + 12 * len(tags) + 4 + len(values))
        field = data.ljust(4, b"\0") if len(data) <= 4 else place
        values += data if len(data) > 4 else b""
        entries += struct.pack(f"{order}HHL", tag, kind, count) + field
    mark = b"II*\0" if order == "<" else b"MM\0*"
    start = struct.pack(f"{order}LH", 8, len(tags))
    return b"Exif\0\0" + mark + start + entries + b"\0\0\0\0" + values


def turned(order: str = "<") -> tuple[int, int, int, bytes]:
    """The tag of a photograph that is to be turned by 90 degrees."""
    return 0x0112, SHORT, 1, struct.pack(f"{order}H", 6)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">L", len(data)) + kind + data + struct.pack(">L", zlib.crc32(kind + data))


def jpeg_with(block: bytes) -> bytes:
    plain = saved(grey_ramp(), "JPEG")
    return plain[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + plain[2:]


def png_with(block: bytes) -> bytes:
    plain = saved(grey_ramp(), "PNG")
    return plain[:33] + chunk(b"eXIf", block[6:]) + plain[33:]


def webp_with(block: bytes) -> bytes:
    """A WebP whose EXIF block is put there afterwards: Pillow would write none like it."""
    whole = saved(grey_ramp(), "WEBP", exif=exif(turned()))
    at = whole.index(b"EXIF")
    padded = block + b"\0" * (len(block) % 2)
    content = whole[:at] + b"EXIF" + struct.pack("<L", len(block)) + padded
    return content[:4] + struct.pack("<L", len(content) - 8) + content[8:]


WITH_EXIF = {"JPEG": jpeg_with, "PNG": png_with, "WEBP": webp_with}

# Right tags of the wrong type, and values that are no numbers. Make is 0x10F, the artist 0x13B,
# the resolution 0x11A to 0x128, the frame's exposure 0x829A.
ODD = {
    f"{tag:#x} of type {kind} as {data!r}": (tag, kind, 1 if kind in (5, 10, 12) else count, data)
    for tag in (0x10E, 0x10F, 0x11A, 0x128, 0x132, 0x13B, 0x829A, 0x8769, 0x8825, 0x106)
    for kind, count, data in (
        (RATIONAL, 1, struct.pack("<LL", 3, 0)),
        (10, 1, struct.pack("<ll", -1, 0)),
        (2, 5, b"\xff\xfe\xe9a\0"),
        (4, 1, b"\xff\xff\xff\xff"),
        (12, 1, struct.pack("<d", float("nan"))),
        (99, 3, b"abc"),
    )
}


@pytest.mark.parametrize("file_format", WITH_EXIF)
@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_odd_tags_neither_refuse_a_photograph_nor_lay_it_down(
    file_format: str, odd: tuple[int, int, int, bytes]
) -> None:
    content = WITH_EXIF[file_format](exif(odd, turned()))
    expected = np.rot90(np.asarray(Image.open(io.BytesIO(content)).convert("RGB")), -1)
    assert np.array_equal(np.asarray(read(content)), expected)


@pytest.mark.parametrize("file_format", WITH_EXIF)
@pytest.mark.parametrize(
    ("block", "size"),
    [
        (exif(turned(), order="<"), UPRIGHT),
        (exif(turned(">"), order=">"), UPRIGHT),
        (exif((0x10F, 2, 4000, b"Maker"), turned()), UPRIGHT),  # longer than the block
        (exif(turned())[:24], LYING),  # cut in the middle of the one tag
        (exif(turned())[:9], LYING),
        (b"Exif\0\0nothing of the kind", LYING),
        (exif((0x112, SHORT, 1, b"\x0b\0")), LYING),  # there are eight ways to turn a picture
        (exif((0x112, 2, 1, b"6")), LYING),
    ],
)
def test_only_the_orientation_is_read_of_a_block(
    file_format: str, block: bytes, size: tuple[int, int]
) -> None:
    assert read(WITH_EXIF[file_format](block)).size == size


@pytest.mark.parametrize("kind", [RATIONAL, 10, 12])
def test_odd_tags_of_an_avif_are_no_matter(kind: int) -> None:
    make = (0x10F, 2, 8, b"camera\0\0")
    whole = saved(grey_ramp(), "AVIF", exif=exif(make, turned()))
    content = whole.replace(struct.pack("<HHL", *make[:3]), struct.pack("<HHL", 0x10F, kind, 1))
    assert content != whole
    assert read(content).tobytes() == read(whole).tobytes()
    assert read(content).size == UPRIGHT


def test_odd_tags_of_a_tiff_are_no_matter() -> None:
    def number(entry: bytes) -> int:
        return int.from_bytes(entry[:2], "little")

    plain = saved(grey_ramp(), "TIFF", compression="tiff_lzw")
    (start,) = struct.unpack_from("<L", plain, 4)
    (count,) = struct.unpack_from("<H", plain, start)
    entries = [plain[at : at + 12] for at in range(start + 2, start + 2 + 12 * count, 12)]
    entries = [entry for entry in entries if number(entry) in PIXEL_TAGS]
    entries += [
        struct.pack("<HHLL", 0x10F, RATIONAL, 1, 8),
        struct.pack("<HHLL", 0x11A, 2, 3, 0x303037),  # 700 as text, by 1, per centimetre
        struct.pack("<HHLHH", 0x11B, SHORT, 1, 1, 0),
        struct.pack("<HHLHH", 0x128, SHORT, 1, 3, 0),
        struct.pack("<HHLL", 0x8769, 12, 1, 9),
        struct.pack("<HHLHH", 0x112, SHORT, 1, 6, 0),
    ]
    entries.sort(key=number)
    table = struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4)
    content = plain[:4] + struct.pack("<L", len(plain)) + plain[8:] + table
    expected = np.rot90(np.asarray(grey_ramp()), -1)
    assert np.array_equal(np.asarray(read(content))[:, :, 1], expected)


XML = '<x tiff:Orientation="6"/>'


@pytest.mark.parametrize("packed", [False, True])
def test_xmp_turns_a_photograph_where_exif_does_not(packed: bool) -> None:
    text = PngImagePlugin.PngInfo()
    text.add_itxt("XML:com.adobe.xmp", XML, zip=packed)
    raw = PngImagePlugin.PngInfo()
    block = exif(turned())
    raw.add_text("Raw profile type exif", f"\nexif\n{len(block):8}\n{block.hex()}\n", zip=packed)
    for content in (
        saved(grey_ramp(), "PNG", pnginfo=text),
        saved(grey_ramp(), "PNG", pnginfo=raw),
        saved(grey_ramp(), "JPEG", xmp=XML.encode()),
        saved(grey_ramp(), "WEBP", xmp=XML.encode()),
        saved(grey_ramp(), "TIFF", tiffinfo={700: XML.encode()}),
    ):
        assert read(content).size == UPRIGHT
    upright = exif((0x112, SHORT, 1, b"\1\0"))
    assert read(saved(grey_ramp(), "JPEG", xmp=XML.encode(), exif=upright)).size == LYING


# ---- descriptions that are large or damaged -------------------------------------------------

LARGE = zlib.compress(bytes(2_000_000))


@pytest.mark.parametrize(
    "described",
    [
        chunk(b"iCCP", b"profile\0\0" + LARGE),
        chunk(b"zTXt", b"Comment\0\0" + LARGE),
        chunk(b"iTXt", b"Comment\0\1\0\0\0" + LARGE),
        chunk(b"zTXt", b"Raw profile type exif\0\0" + LARGE),
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + LARGE),
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0damaged"),
        chunk(b"iTXt", b""),
        70 * chunk(b"tEXt", b"Comment\0" + 1_000_000 * b"x"),
        chunk(b"tEXt", b"Comment\0words")[:-1] + b"?",  # the wrong checksum
        chunk(b"pHYs", b"\0"),
        chunk(b"cHRM", b"\0"),
    ],
    ids=range(11),
)
def test_what_only_describes_a_png_does_not_refuse_it(described: bytes) -> None:
    plain = saved(grey_ramp(), "PNG")
    for at in (33, len(plain) - 12):  # behind the header, and behind the pixels
        found = np.asarray(read(plain[:at] + described + plain[at:]))
        assert np.array_equal(found[:, :, 2], np.asarray(grey_ramp()))


@pytest.mark.parametrize("kind", ["APP1", "APP2", "APP13"])
def test_what_only_describes_a_jpeg_does_not_refuse_it(kind: str) -> None:
    plain, marker = saved(grey_ramp(), "JPEG"), 0xE0 + int(kind[3:])
    for text in (b"Photoshop 3.0\0" + bytes(40), b"MPF\0II*\0\x08\0\0\0\xff\xff", b"ICC_PROFILE\0"):
        segment = bytes([0xFF, marker]) + struct.pack(">H", len(text) + 2) + text
        content = plain[:2] + segment + plain[2:]
        assert read(content).tobytes() == read(plain).tobytes()


# ---- formats --------------------------------------------------------------------------------


def test_the_formats_are_those_of_the_endings() -> None:
    known = Image.registered_extensions()
    assert {known[ending] for ending in IMAGE_ENDINGS} == set(FORMATS)


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("ending", [".jpg", ".png"])
def test_each_format_is_read_under_any_listed_ending(
    tmp_path: Path, file_format: str, ending: str
) -> None:
    path = tmp_path / f"picture{ending}"
    path.write_bytes(saved(Image.new("RGB", (16, 8), "white"), file_format))
    found = open_path(str(path))
    assert (found.size, found.getpixel((3, 3))) == (LYING, (255, 255, 255))


PROGRAMS: list[str] = []


def hear(event: str, arguments: tuple[object, ...]) -> None:
    if event in ("subprocess.Popen", "os.system", "os.posix_spawn", "os.exec"):
        PROGRAMS.append(event)


@pytest.mark.parametrize("file_format", ["EPS", "ICO", "PCX", "SGI", "IM", "DDS", "PDF", "MSP"])
@pytest.mark.parametrize("ending", [".jpg", ".png", ".tga"])
def test_other_formats_are_refused_and_start_no_program(
    tmp_path: Path, file_format: str, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "gs"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    mode = "1" if file_format == "MSP" else "RGB"
    path = tmp_path / f"picture{ending}"
    path.write_bytes(saved(Image.new(mode, (16, 16)), file_format))
    sys.addaudithook(hear)  # which stays to the end of the process
    PROGRAMS.clear()
    with pytest.raises(DataError, match=r"is no image Pillow knows|cannot be decoded"):
        open_path(str(path))
    assert not PROGRAMS


def test_a_heic_image_under_another_name_gets_its_advice(tmp_path: Path) -> None:
    for brand in (b"heic", b"mif1", b"hevc"):
        path = tmp_path / "phone.jpg"
        path.write_bytes(struct.pack(">L", 24) + b"ftyp" + brand + bytes(4) + b"mif1heic")
        with pytest.raises(DataError) as caught:
            open_path(str(path))
        advice = "is a HEIC image, which cannot be read: convert it to JPEG"
        assert caught.value.problems == [f"{path}: {advice}"]


# ---- thin and large pictures ----------------------------------------------------------------


@pytest.mark.parametrize("size", [(3, 700), (701, 2), (5, 1103), (1, 400)])
@pytest.mark.parametrize(("whole_pixels", "off"), [(pictures.WHOLE_PIXELS, 0), (0, 1)])
def test_of_a_thin_picture_the_middle_is_what_torchvision_makes_of_the_whole(
    size: tuple[int, int], whole_pixels: int, off: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "WHOLE_PIXELS", whole_pixels)
    noise = np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    picture = Image.fromarray(noise)
    whole = transforms.resize(picture, [24])
    square = square_of(picture, Resize(24, "bilinear", antialias=True))
    assert (square.width, square.height) == whole.size
    for crop in (24, 23, 20):
        expected = np.asarray(transforms.center_crop(whole, [crop])).transpose(2, 0, 1)
        found = square.centre(crop).astype(int)
        assert np.abs(found - expected).max() <= off


@pytest.mark.parametrize("size", [(1, 24_000), (60_000, 1)])
def test_a_line_of_pixels_needs_no_more_memory_than_others(size: tuple[int, int]) -> None:
    code = f"""
import resource
from PIL import Image
from bench.data.pictures import Resize, square_of
picture = Image.new("RGB", {size}, "red")
free = 1 << 28
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + free, used + free))
square = square_of(picture, Resize(256, "bicubic", True))
assert square.pixels.shape == (3, 256, 256)
assert square.centre(224)[0].min() == 255
assert max(square.width, square.height) == 256 * {max(size)}
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_pictures_wait_for_room_and_always_get_it_in_the_end() -> None:
    room, one = Room(10 * PIXEL_BYTES), threading.Barrier(3, timeout=20)
    inside, most = 0, 0
    lock = threading.Lock()

    def work(num_pixels: int) -> None:
        nonlocal inside, most
        one.wait()
        for _ in range(200):
            with room.visit():
                room.take(num_pixels)
                room.take(num_pixels)  # the same picture again
                with lock:
                    inside += min(num_pixels, 10)
                    most = max(most, inside)
                with lock:
                    inside -= min(num_pixels, 10)

    threads = [threading.Thread(target=work, args=(size,)) for size in (4, 6, 1000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    assert not any(thread.is_alive() for thread in threads)
    assert most <= 10


@pytest.mark.slow
def test_four_small_files_of_177_megapixels_are_decoded_in_two_gigabytes(tmp_path: Path) -> None:
    width, rows = 13_300, 13_300
    line = bytes(1 + width)
    packer = zlib.compressobj()
    pixels = b"".join([*(packer.compress(line) for _ in range(rows)), packer.flush()])
    header = struct.pack(">LLBBBBB", width, rows, 8, 3, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"PLTE", b"\1\2\3"), (b"tRNS", b"\x80"), (b"IDAT", pixels))
    content = b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*one) for one in (*chunks, (b"IEND", b"")))
    for number in range(4):
        (tmp_path / "ab"[number % 2]).mkdir(exist_ok=True)
        path = tmp_path / "ab"[number % 2] / f"{number}.png"
        path.write_bytes(content + bytes(number))
    code = f"""
import resource
from bench.data import sources
sources.check_images(sources.scan({str(tmp_path)!r}), threads=4)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 2 << 30


# ---- JPEGs that end too early ---------------------------------------------------------------


def photograph(mode: str = "RGB", **options: object) -> bytes:
    """120 x 90 pixels that are not all alike."""
    noise = np.random.default_rng(0).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    picture = Image.fromarray(noise).resize((120, 90), Image.Resampling.BICUBIC).convert(mode)
    return saved(picture, "JPEG", **options)


JPEGS: dict[str, Callable[[], bytes]] = {
    "baseline": lambda: photograph(),
    "grey": lambda: photograph("L"),
    "cmyk": lambda: photograph("CMYK"),
    "progressive": lambda: photograph(progressive=True),
    "restarts": lambda: photograph(restart_marker_rows=1),
    "many restarts": lambda: photograph(restart_marker_blocks=1),
}


@pytest.mark.parametrize("kind", JPEGS)
@pytest.mark.parametrize("missing", [1, 2])
def test_a_jpeg_that_lacks_only_its_end_is_read(kind: str, missing: int) -> None:
    whole = JPEGS[kind]()
    assert read(whole[:-missing]).tobytes() == read(whole).tobytes()


@pytest.mark.parametrize("kind", JPEGS)
def test_a_jpeg_that_lacks_pixels_is_refused_wherever_it_is_cut(kind: str) -> None:
    whole = JPEGS[kind]()
    expected = read(whole).tobytes()
    start = whole.index(b"\xff\xda")
    for cut in range(start, len(whole) - 2):
        try:
            found = read(whole[:cut])
        except OSError:
            continue
        # The last bits of the last block may be missing where they say what is said anyway.
        assert cut > len(whole) - 8, cut
        assert found.tobytes() == expected


@pytest.mark.parametrize("kind", JPEGS)
@pytest.mark.parametrize("filling", [b"\0", b"\xff", b"\xff\0", b"\xf6"])
def test_a_jpeg_whose_rest_was_never_written_is_refused(kind: str, filling: bytes) -> None:
    whole = JPEGS[kind]()
    start = whole.index(b"\xff\xda") + 20
    for share in (0.1, 0.5, 0.9):
        cut = start + int(share * (len(whole) - start))
        for size in (100, len(whole), 50_000):
            content = whole[:cut] + filling * size
            try:  # enough zeros are a whole picture, and nobody can tell
                Image.open(io.BytesIO(content)).load()
            except OSError:
                with pytest.raises(OSError, match="truncated"):
                    read(content)


def test_a_jpeg_of_nothing_but_one_byte_takes_no_time() -> None:
    with pytest.raises(OSError, match="cannot identify"):
        read(b"\xff\xd8" + 20_000_000 * b"\xff")


# ---- grey in which nothing is white ---------------------------------------------------------


def white_is_zero(
    values_HW: NDArray[np.uint16] | NDArray[np.uint8], order: Literal["<", ">"]
) -> bytes:
    """A TIFF in which 0 is white: TIFF 6.0, PhotometricInterpretation 0."""
    bits = 8 * values_HW.dtype.itemsize
    data = values_HW.astype(values_HW.dtype.newbyteorder(order)).tobytes()
    height, width = values_HW.shape
    layout = {256: width, 257: height, 258: bits, 259: 1, 262: 0, 273: 8, 277: 1, 278: height}
    tags = {**layout, 279: len(data)}.items()
    mark = b"II*\0" if order == "<" else b"MM\0*"
    table = b"".join(struct.pack(f"{order}HHLHH", tag, SHORT, 1, n, 0) for tag, n in tags)
    start = struct.pack(f"{order}L", 8 + len(data))
    return mark + start + data + struct.pack(f"{order}H", len(tags)) + table + b"\0\0\0\0"


@pytest.mark.parametrize("order", ["<", ">"])
def test_where_0_is_white_16_bits_are_read_as_8_bits_are(order: Literal["<", ">"]) -> None:
    grey = np.array([[0, 1, 77, 128, 254, 255]], np.uint8)
    for values in (grey, grey.astype(np.uint16) * 257):
        found = np.asarray(read(white_is_zero(values, order)))[:, :, 0]
        assert found.tolist() == (255 - grey).tolist()


def test_large_pictures_are_converted_as_small_ones_are(monkeypatch: pytest.MonkeyPatch) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (70, 50, 4), dtype=np.uint8)
    clear = Image.fromarray(noise)
    wide = Image.fromarray(noise[:, :, 0].astype(np.uint16) * 200)
    kinds = [clear, clear.quantize(99), clear.convert("CMYK"), clear.convert("1"), wide]
    files = [saved(kind, "TIFF" if kind.mode == "CMYK" else "PNG") for kind in kinds]
    whole = [read(file).tobytes() for file in files]
    monkeypatch.setattr(pictures, "BAND_PIXELS", 333)
    assert [read(file).tobytes() for file in files] == whole


# ---- 16-bit grey that does not fill its scale -----------------------------------------------


def deep_set(root: Path, highest: int) -> Dataset:
    """Two classes of two pictures, of 16 bits that hold 0 to `highest`, and one of 8 bits each."""
    ramp = np.linspace(0, highest, 64).round().astype(np.uint16).reshape(8, 8)
    for name in "ab":
        (root / name).mkdir(parents=True)
        for number, ending in enumerate(("png", "tif")):
            Image.fromarray(ramp // (number + 1)).save(root / name / f"{number}.{ending}")
        Image.new("L", (8, 8), 100).save(root / name / "8 bits.png")
    return scan(str(root))


@pytest.mark.parametrize(
    ("highest", "white"), [(1, 1), (115, 127), (128, 255), (4095, 4095), (40_000, 65535)]
)
def test_the_scale_of_16_bit_grey_is_the_least_that_holds_train(
    tmp_path: Path, highest: int, white: int
) -> None:
    dataset = scaled(deep_set(tmp_path, highest), range(6))
    assert {item.white for item in dataset.items} == {white}
    assert dataset.notes[-1].endswith(f"so that white is: {white}")
    by_key = {item.key: np.asarray(open_image(dataset, item)) for item in dataset.items}
    assert by_key["a/0.png"].max() == round(highest * 255 / white)
    assert by_key["b/1.tif"].max() == round((highest // 2) * 255 / white)
    assert set(by_key["a/8 bits.png"].ravel()) == {100}


def test_the_scale_comes_from_train_and_what_exceeds_it_is_white(tmp_path: Path) -> None:
    deep_set(tmp_path, 4000)
    Image.fromarray(np.full((8, 8), 9000, np.uint16)).save(tmp_path / "a" / "0.png")
    dataset = scan(str(tmp_path))
    place = {item.key: number for number, item in enumerate(dataset.items)}
    found = scaled(dataset, [place["a/1.tif"], place["b/0.png"], place["b/8 bits.png"]])
    assert found.items[0].white == 4095
    assert set(np.asarray(open_image(found, found.items[place["a/0.png"]])).ravel()) == {255}


def test_where_0_is_white_the_scale_ends_in_black(tmp_path: Path) -> None:
    deep_set(tmp_path, 115)
    stored = np.array([[0, 60, 127, 500]], np.uint16)
    (tmp_path / "a" / "0.png").write_bytes(white_is_zero(stored, ">"))
    dataset = scaled(scan(str(tmp_path)), range(1, 6))
    found = np.asarray(open_image(dataset, dataset.items[0]))[0, :, 0]
    assert found.tolist() == [255, round(67 * 255 / 127), 0, 0]


def test_a_data_set_of_8_bits_has_no_scale_to_find(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        Image.new("RGB", (8, 8), (3, 3, 3)).save(tmp_path / name / "1.png")
        (tmp_path / name / "damaged.tif").write_bytes(b"II*\0")
    dataset = scan(str(tmp_path))
    assert scaled(dataset, range(4)) == dataset
    digits = scan("digits")
    assert scaled(digits, range(4)) is digits


@pytest.mark.parametrize("values", [(0, 0), (30_000, 30_115), (65_535, 65_535)])
def test_16_bit_grey_without_contrast_is_refused(tmp_path: Path, values: tuple[int, int]) -> None:
    for name, value in zip("ab", values, strict=True):
        (tmp_path / name).mkdir()
        Image.fromarray(np.full((8, 8), value, np.uint16)).save(tmp_path / name / "1.png")
    with pytest.raises(DataError, match=f"no contrast.* only values {values[0]} to {values[1]}"):
        scaled(scan(str(tmp_path)), range(2))


def test_another_scale_has_another_place_in_the_cache(tmp_path: Path) -> None:
    dataset, resize = deep_set(tmp_path, 115), Resize(8, "bilinear", antialias=True)
    assert key(dataset, resize) != key(scaled(dataset, range(6)), resize)
