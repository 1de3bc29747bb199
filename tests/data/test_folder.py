"""Folders as people have them: layouts, junk, links, and mistakes that must be named."""

import os
import unicodedata
from pathlib import Path

import pytest
from PIL import Image

from bench.data.dataset import Dataset
from bench.data.folder import PROBLEMS
from bench.data.sources import scan
from bench.errors import DataError

LAYOUT = ("a/1.png", "a/2.png", "b/1.png")


def fill(root: Path, *keys: str) -> Path:
    """Put a small picture at each key that ends like one, and a text everywhere else."""
    for number, key in enumerate(keys):
        path = root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix.lower() in (".png", ".jpg"):
            Image.new("L", (2, 2), number).save(path)
        else:
            path.write_text("words")
    return root


def parts(dataset: Dataset) -> list[tuple[str, str, str | None]]:
    return [(item.key, dataset.classes[item.label], item.part) for item in dataset.items]


def problems_of(root: Path) -> list[str]:
    """What scanning says is wrong, with the root's own path taken out."""
    with pytest.raises(DataError) as caught:
        scan(str(root))
    return [problem.replace(str(root), "ROOT") for problem in caught.value.problems]


def test_class_folders_become_sorted_classes_and_items(tmp_path: Path) -> None:
    dataset = scan(str(fill(tmp_path, "b/x.png", "a/2.png", "a/10.PNG", "a/deep/er/3.jpg")))
    assert dataset.classes == ("a", "b")
    assert parts(dataset) == [
        ("a/10.PNG", "a", None),
        ("a/2.png", "a", None),
        ("a/deep/er/3.jpg", "a", None),
        ("b/x.png", "b", None),
    ]
    assert dataset.name == tmp_path.name
    assert dataset.photographs
    assert dataset.notes == (
        "class folders that hold folders, all of whose images are of the class: 1",
    )


def test_the_folder_may_be_named_relative_to_where_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path / "pets", *LAYOUT)
    monkeypatch.chdir(tmp_path / "pets")
    here = scan(".")
    monkeypatch.chdir(tmp_path)
    below = scan("pets")
    assert here.name == below.name == "pets"
    assert here.items == below.items


@pytest.mark.parametrize("val", ["val", "valid", "validation", "Validation"])
def test_official_parts_share_one_class_map(tmp_path: Path, val: str) -> None:
    fill(tmp_path, *(f"{part}/{name}/1.png" for part in ("Train", val, "TEST") for name in "ab"))
    dataset = scan(str(tmp_path))
    assert dataset.classes == ("a", "b")
    assert {item.part for item in dataset.items} == {"train", "val", "test"}
    for key, name, part in parts(dataset):
        folder, class_name, _ = key.split("/")
        assert name == class_name
        assert part == {"train": "train", "test": "test"}.get(folder.lower(), "val")


def test_train_alone_is_an_official_part(tmp_path: Path) -> None:
    dataset = scan(str(fill(tmp_path, "train/a/1.png", "train/b/1.png")))
    assert dataset.classes == ("a", "b")
    assert {item.part for item in dataset.items} == {"train"}


def test_train_may_be_a_class(tmp_path: Path) -> None:
    dataset = scan(str(fill(tmp_path, "train/1.png", "bus/1.png", "tram/1.png")))
    assert dataset.classes == ("bus", "train", "tram")
    assert {item.part for item in dataset.items} == {None}


def test_what_file_managers_leave_is_counted_and_never_a_class(tmp_path: Path) -> None:
    clean = scan(str(fill(tmp_path, *LAYOUT)))
    fill(
        tmp_path,
        ".ipynb_checkpoints/1-checkpoint.png",
        "__MACOSX/a/._1.png",
        ".DS_Store",
        "a/._1.jpg",
        "a/Thumbs.db",
        "b/desktop.ini",
        "b/.ipynb_checkpoints/1-checkpoint.png",
    )
    dirty = scan(str(tmp_path))
    assert (dirty.classes, dirty.items) == (clean.classes, clean.items)
    assert dirty.notes == ("files or folders that file managers leave were ignored: 7",)


def test_other_files_are_counted_by_kind(tmp_path: Path) -> None:
    fill(tmp_path, *LAYOUT, "README", "a/labels.json", "a/x.txt", "b/y.txt", "cover.png")
    assert scan(str(tmp_path)).notes == (
        "files that are not images were ignored (.txt 2, .json 1, without ending 1): 4",
        "images outside the class folders were ignored: 1",
    )


def test_folders_beside_the_parts_are_ignored_where_they_hold_no_images(tmp_path: Path) -> None:
    fill(tmp_path, "train/a/1.png", "train/b/1.png", "annotations/a.xml", "train/loose.png")
    assert scan(str(tmp_path)).notes == (
        "files that are not images were ignored (.xml 1): 1",
        "images outside the class folders were ignored: 1",
    )


def test_a_hidden_root_is_still_a_root(tmp_path: Path) -> None:
    assert len(scan(str(fill(tmp_path / ".cache", *LAYOUT))).items) == 3


def test_content_hash_follows_bytes_and_classes_and_not_file_names(tmp_path: Path) -> None:
    first = scan(str(fill(tmp_path / "one", *LAYOUT))).content_sha256
    renamed = fill(tmp_path / "two", *LAYOUT)
    (renamed / "a" / "1.png").rename(renamed / "a" / "zebra.png")
    assert scan(str(renamed)).content_sha256 == first
    (renamed / "a" / "zebra.png").rename(renamed / "b" / "zebra.png")
    assert scan(str(renamed)).content_sha256 != first


def test_a_class_name_is_one_class_however_its_accent_is_stored(tmp_path: Path) -> None:
    composed, decomposed = (unicodedata.normalize(form, "k\u00e4se") for form in ("NFC", "NFD"))
    fill(tmp_path, f"train/{composed}/1.png", "train/b/1.png")
    fill(tmp_path, f"test/{decomposed}/1.png", "test/b/1.png")
    assert scan(str(tmp_path)).classes == ("b", composed)


# ---- parts under other names ----------------------------------------------------------------


@pytest.mark.parametrize(
    "names",
    [
        {"Training": "train", "Testing": "test"},
        {"train_images": "train", "test_images": "test", "dev_images": "val"},
        {"TRAIN-SET": "train", "Eval": "val"},
        {"1 training": "train", "2 validation": "val", "3 testing": "test"},
        {"seg_train": "train", "seg_test": "test"},
        {"train": "train", "Testing": "test"},
    ],
)
def test_parts_are_known_by_the_words_in_their_names(tmp_path: Path, names: dict[str, str]) -> None:
    keys = [f"{name}/{animal}/{n}.png" for name in names for animal in ("cat", "dog") for n in "12"]
    dataset = scan(str(fill(tmp_path, *keys, "docs/read.txt")))
    assert dataset.classes == ("cat", "dog")
    assert {item.key: item.part for item in dataset.items} == {
        key: names[key.partition("/")[0]] for key in keys
    }


def test_classes_with_the_names_of_parts_stay_classes(tmp_path: Path) -> None:
    fill(tmp_path, "test tube/1.png", "train station/1.png", "flask/old/1.png")
    dataset = scan(str(tmp_path))
    assert dataset.classes == ("flask", "test tube", "train station")
    assert dataset.notes == (
        "class folders that hold folders, all of whose images are of the class: 1",
    )


@pytest.mark.parametrize("names", [("2019", "2020"), ("cat", "dog"), ("test_a", "test_b")])
def test_folders_of_the_same_folders_are_refused_where_names_do_not_tell_why(
    tmp_path: Path, names: tuple[str, str]
) -> None:
    fill(tmp_path, *(f"{name}/{view}/1.png" for name in names for view in ("back", "front")))
    assert problems_of(tmp_path) == [
        f"ROOT: {names[0]}/, {names[1]}/ hold the same folders (back, front): if they are parts, "
        "call them train, val and test; if they are classes, move the images up into them"
    ]


def test_images_that_lie_directly_in_a_part_are_said_once(tmp_path: Path) -> None:
    fill(tmp_path, "train/a/1.png", "train/b/1.png", "test/1.png", "test/2.png")
    assert problems_of(tmp_path) == ["ROOT/test: 2 images and no class folders"]


def test_classes_with_numbers_are_in_the_order_of_the_numbers(tmp_path: Path) -> None:
    names = ["1", "2", "10", "11", "week 2", "week 10", "week 10b"]
    fill(tmp_path, *(f"{name}/1.png" for name in sorted(names)))
    dataset = scan(str(tmp_path))
    assert [*dataset.classes] == names
    assert all(dataset.classes[item.label] == item.key.split("/")[0] for item in dataset.items)


# ---- links ----------------------------------------------------------------------------------


def test_a_link_inside_the_folder_is_followed(tmp_path: Path) -> None:
    fill(tmp_path, *LAYOUT)
    (tmp_path / "b" / "2.png").symlink_to(tmp_path / "a" / "2.png")
    by_key = {item.key: item.sha256 for item in scan(str(tmp_path)).items}
    assert by_key["b/2.png"] == by_key["a/2.png"]


def test_links_that_lead_in_a_circle_are_cut(tmp_path: Path) -> None:
    fill(tmp_path, *LAYOUT)
    (tmp_path / "a" / "again").symlink_to(tmp_path)
    (tmp_path / "a" / "other").symlink_to(tmp_path / "b")
    (tmp_path / "b" / "back").symlink_to(tmp_path / "a")
    dataset = scan(str(tmp_path))
    # The four: a/again, a/other/back, b/back/again, b/back/other.
    assert [item.key for item in dataset.items] == [
        "a/1.png",
        "a/2.png",
        "a/other/1.png",
        "b/1.png",
        "b/back/1.png",
        "b/back/2.png",
    ]
    assert dataset.notes == (
        "links that lead to a folder above them, or that was seen, were ignored: 4",
        "class folders that hold folders, all of whose images are of the class: 2",
    )


def test_folders_that_all_lead_to_each_other_are_walked_once(tmp_path: Path) -> None:
    names = "abcdefghij"
    fill(tmp_path, *(f"{name}/{name}.png" for name in names))
    for one in names:
        for other in names.replace(one, ""):
            (tmp_path / one / other).symlink_to(tmp_path / other)
    dataset = scan(str(tmp_path))
    for name in names:
        of_class = [item.key for item in dataset.items if item.key.startswith(f"{name}/")]
        assert sorted(key[-5] for key in of_class) == [*names]


def test_links_out_of_the_folder_or_to_nothing_are_refused(tmp_path: Path) -> None:
    root = fill(tmp_path / "root", *LAYOUT)
    outside = fill(tmp_path / "outside", "1.png")
    (root / "a" / "out.png").symlink_to(outside / "1.png")
    (root / "c").symlink_to(outside)
    (root / "b" / "gone.png").symlink_to(root / "b" / "nowhere.png")
    (root / "b" / "self.png").symlink_to(root / "b" / "self.png")
    assert sorted(problems_of(root)) == [
        f"ROOT/a/out.png: {PROBLEMS['outside']}",
        "ROOT/b/gone.png: a link to nothing: take it out",
        "ROOT/b/self.png: a link to nothing: take it out",
        f"ROOT/c: {PROBLEMS['outside']}",
    ]


def test_links_out_of_the_folder_are_followed_where_that_is_asked_for(tmp_path: Path) -> None:
    store = fill(tmp_path / "store", "01.png", "02.png", "b/03.png", "b/04.png")
    root = tmp_path / "root"
    (root / "a").mkdir(parents=True)
    for name in ("01.png", "02.png"):
        (root / "a" / name).symlink_to(store / name)
    (root / "b").symlink_to(store / "b")
    (root / "b" / "up").symlink_to(tmp_path)  # leads to a folder that holds the root
    dataset = scan(str(root), follow_links=True)
    assert [item.key for item in dataset.items] == ["a/01.png", "a/02.png", "b/03.png", "b/04.png"]
    assert dataset.notes == (
        "links that lead to a folder above them, or that was seen, were ignored: 1",
    )


def test_a_folder_of_links_is_not_called_empty(tmp_path: Path) -> None:
    store, root = fill(tmp_path / "store", "a/1.png", "b/1.png"), tmp_path / "root"
    root.mkdir()
    for name in "ab":
        (root / name).symlink_to(store / name)
    told = "\n".join(problems_of(root))
    assert "it is empty" not in told
    assert "follow_links = true" in told
    assert "found 2 that cannot be used, such as a: a link that leaves the folder" in told


def test_the_folder_itself_may_be_a_link(tmp_path: Path) -> None:
    fill(tmp_path / "real", *LAYOUT)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert len(scan(str(tmp_path / "link")).items) == 3


# ---- mistakes -------------------------------------------------------------------------------


def test_a_missing_folder_is_an_error_with_similar_names(tmp_path: Path) -> None:
    fill(tmp_path / "photos", *LAYOUT)
    with pytest.raises(DataError) as caught:
        scan(f"{tmp_path}/photo")
    assert str(caught.value).startswith(
        f'{tmp_path}/photo: no such folder - did you mean "{tmp_path}/photos"?'
    )


def test_a_misspelt_digits_is_recognised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match='digit: no such folder - did you mean "digits"'):
        scan("digit")


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    fill(tmp_path, "photos.zip")
    assert problems_of(tmp_path / "photos.zip") == [
        "ROOT: is a file: name the folder that holds the class folders"
    ]


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        ((), "it is empty"),
        ((".DS_Store",), "it is empty"),
        (("1.png", "2.png", "x.txt"), "found 2 images, 1 .txt"),
    ],
)
def test_a_folder_without_class_folders_shows_what_is_expected(
    tmp_path: Path, keys: tuple[str, ...], found: str
) -> None:
    (problem,) = problems_of(fill(tmp_path, *keys))
    assert problem.startswith(f"ROOT: no class folders ({found}); expected ROOT/<class>/<images>")


def test_parts_without_class_folders_are_not_taken_for_two_classes(tmp_path: Path) -> None:
    (problem,) = problems_of(fill(tmp_path, "train/1.png", "test/2.png"))
    assert problem.startswith("ROOT/train: no class folders (found 1 image)")


def test_one_class_is_too_few(tmp_path: Path) -> None:
    (problem,) = problems_of(fill(tmp_path, "a/1.png"))
    assert problem.startswith("ROOT: only one class, 'a'; at least two are needed; expected")


def test_a_folder_one_level_too_high_is_recognised(tmp_path: Path) -> None:
    (problem,) = problems_of(fill(tmp_path, "photos/a/1.png", "photos/b/1.png"))
    assert "did you mean ROOT/photos?" in problem


def test_empty_classes_are_named_with_what_they_hold(tmp_path: Path) -> None:
    fill(tmp_path, *LAYOUT, "c/notes.txt")
    (tmp_path / "d").mkdir()
    assert problems_of(tmp_path) == [
        "ROOT/c: no images in this class folder (found 1 .txt)",
        "ROOT/d: no images in this class folder (it is empty)",
    ]


def test_classes_that_differ_between_the_parts_are_all_named(tmp_path: Path) -> None:
    fill(tmp_path, "train/a/1.png", "train/b/1.png", "val/a/1.png")
    fill(tmp_path, "test/a/1.png", "test/b/1.png", "test/d/1.png")
    assert problems_of(tmp_path) == [
        "ROOT/test: class 'd' is not in train: add it there, or take it out",
        "ROOT/val: no folder for class 'b'",
    ]


def test_parts_without_train_are_refused(tmp_path: Path) -> None:
    keys = (f"{part}/{name}/1.png" for part in ("test", "val") for name in "ab")
    assert "ROOT: test/ and val/ without train/: add it" in problems_of(fill(tmp_path, *keys))


def test_two_folders_for_one_part_are_refused(tmp_path: Path) -> None:
    keys = (f"{part}/{name}/1.png" for part in ("train", "val", "valid") for name in "ab")
    assert problems_of(fill(tmp_path, *keys)) == ["ROOT: val/ and valid/ are both val: keep one"]


def test_images_beside_the_parts_are_refused(tmp_path: Path) -> None:
    fill(tmp_path, "train/a/1.png", "train/b/1.png", "more/a/1.png")
    assert problems_of(tmp_path) == [
        "ROOT/more: 1 image beside the parts: move them into one, or out"
    ]


def test_photographs_that_pillow_cannot_read_are_not_left_out_in_silence(tmp_path: Path) -> None:
    fill(tmp_path, *LAYOUT, "a/3.HEIC", "a/4.heif")
    assert problems_of(tmp_path) == ["ROOT/a: 2 HEIC images cannot be read: convert them to JPEG"]


@pytest.mark.skipif(os.name == "nt", reason="names are text there")
def test_a_name_that_is_not_text_is_refused(tmp_path: Path) -> None:
    fill(tmp_path, *LAYOUT)
    try:
        Path(os.fsdecode(os.fsencode(tmp_path / "a") + b"/\xff.png")).write_bytes(b"")
    except OSError:
        pytest.skip("this file system stores text names only")
    assert problems_of(tmp_path) == ["ROOT/a/?.png: its name is not UTF-8: rename it"]


def test_names_made_to_break_reports_are_ordinary_names(tmp_path: Path) -> None:
    names = ("<script>", "[bold]", "$x^$", "a|b", "new\nline", "\u732b", "=cmd()")
    dataset = scan(str(fill(tmp_path, *(f"{name}/{name}.png" for name in names))))
    assert dataset.classes == tuple(sorted(names))


def test_items_are_sorted_by_their_whole_keys(tmp_path: Path) -> None:
    # "-" sorts before "/", so the folders' own order is another one.
    dataset = scan(str(fill(tmp_path, "a/1.png", "a-b/1.png")))
    assert [item.key for item in dataset.items] == ["a-b/1.png", "a/1.png"]
    assert dataset.classes == ("a", "a-b")
