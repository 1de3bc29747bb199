"""A file is used only if its content is what its name says; fetched once, whole or not at all."""

import hashlib
import threading
from pathlib import Path

import pytest
from torchvision import models

from bench.models import download
from bench.models.download import Absent, Located
from tests.models.conftest import Publisher

CONTENT = bytes(range(256)) * 999


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.suffix != ".lock"}


@pytest.fixture
def address(publisher: Publisher) -> str:
    return publisher.publish("net", CONTENT)


def test_every_published_file_of_torchvision_carries_its_hash() -> None:
    for name in models.list_models(module=models):
        for member in models.get_model_weights(name):
            assert len(download.digits(member.url)) >= 8
    resnet18 = models.ResNet18_Weights.IMAGENET1K_V1
    assert download.digits(resnet18.url) == "f37072fd"


def test_a_fetched_file_is_whole_and_named_after_its_hash(address: str, tmp_path: Path) -> None:
    found = download.fetch(address, tmp_path / "new" / "folder")
    assert isinstance(found, Located)
    assert found.path.read_bytes() == CONTENT
    assert found.sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert names(found.path.parent) == {found.path.name}


def test_a_cached_file_is_not_fetched_again(
    address: str, tmp_path: Path, publisher: Publisher
) -> None:
    first = download.fetch(address, tmp_path)
    assert download.fetch(address, tmp_path) == first == download.cached(address, tmp_path)
    assert publisher.requests.total() == 1


@pytest.mark.parametrize("damage", ["truncated", "flipped"])
def test_a_damaged_cached_file_is_moved_aside_and_fetched_again(
    address: str, tmp_path: Path, damage: str
) -> None:
    flipped = bytearray(CONTENT)
    flipped[1000] ^= 1
    damaged = bytes(flipped) if damage == "flipped" else CONTENT[:-1]
    path = tmp_path / download.file_name(address)
    path.write_bytes(damaged)
    seen = download.cached(address, tmp_path)
    assert isinstance(seen, Absent)
    assert "damaged" in seen.why
    assert path.read_bytes() == damaged  # looking changes nothing
    assert isinstance(download.fetch(address, tmp_path), Located)
    assert path.read_bytes() == CONTENT
    assert path.with_name(f"{path.name}.corrupt").read_bytes() == damaged


def test_a_file_damaged_after_it_was_verified_is_noticed(address: str, tmp_path: Path) -> None:
    found = download.fetch(address, tmp_path)
    assert isinstance(found, Located)
    assert download.cached(address, tmp_path) == found
    found.path.write_bytes(CONTENT[:-1])
    assert isinstance(download.cached(address, tmp_path), Absent)


@pytest.mark.parametrize("faults", [[503, "cut"], ["cut"], [500]])
def test_a_cut_or_refused_connection_is_tried_again(
    address: str, tmp_path: Path, publisher: Publisher, faults: list[int | str]
) -> None:
    publisher.faults += faults
    assert isinstance(download.fetch(address, tmp_path, retry_seconds=(0, 0)), Located)
    assert publisher.requests.total() == len(faults) + 1


@pytest.mark.parametrize(
    ("faults", "why", "tries"),
    [
        (["cut"] * 3, "cut short or damaged", 3),
        ([503] * 3, "answered 503", 3),
        ([404], "answered 404", 1),
    ],
)
def test_a_download_that_fails_leaves_nothing_and_says_why(
    address: str,
    tmp_path: Path,
    publisher: Publisher,
    faults: list[int | str],
    why: str,
    tries: int,
) -> None:
    publisher.faults += faults
    found = download.fetch(address, tmp_path, retry_seconds=(0, 0))
    assert isinstance(found, Absent)
    assert why in found.why
    assert names(tmp_path) == set()
    assert publisher.requests.total() == tries


def test_a_download_with_another_hash_is_not_kept(
    address: str, tmp_path: Path, publisher: Publisher
) -> None:
    publisher.files[download.file_name(address)] = CONTENT[::-1]
    found = download.fetch(address, tmp_path, retry_seconds=())
    assert isinstance(found, Absent)
    assert "hash" in found.why
    assert names(tmp_path) == set()


def test_several_that_want_one_file_fetch_it_once(
    address: str, tmp_path: Path, publisher: Publisher
) -> None:
    found: list[Located | Absent] = []
    threads = [
        threading.Thread(target=lambda: found.append(download.fetch(address, tmp_path)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [type(f) for f in found] == [Located] * 4
    assert publisher.requests.total() == 1


def test_a_folder_that_cannot_be_written_is_a_reason(address: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    found = download.fetch(address, tmp_path / "file" / "cache")
    assert isinstance(found, Absent)
    assert "cannot be written" in found.why


def test_a_server_that_answers_is_reachable_and_asked_once(publisher: Publisher) -> None:
    addresses = [f"{publisher.address}/{name}" for name in ("a", "b")]
    assert [download.unreachable(address) for address in addresses] == [None, None]
    assert publisher.requests == {"HEAD": 1}


def test_a_server_that_does_not_exist_is_named_with_the_reason() -> None:
    why = download.unreachable("http://127.0.0.1:9/net-00000000.pth")
    assert why is not None
    assert "127.0.0.1:9" in why
    assert "refused" in why
