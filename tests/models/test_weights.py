"""One source for all, exact weights for those that ask, and nothing in silence."""

import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torchvision import models

from bench.errors import WeightsError
from bench.models import weights
from bench.models.weights import Request
from tests.models.conftest import Publisher, random_state

BOTH = {
    "squeezenet1_1": Request("squeezenet1_1", None),
    "shufflenet_v2_x0_5": Request("shufflenet_v2_x0_5", None),
}
FALLBACK = ("imagenet", "random")


def file_of(address: str) -> str:
    return address.rsplit("/", 1)[1]


def test_imagenet_is_fetched_for_all_and_loads_as_it_was_published(
    published: dict[str, str], checkpoints: Path
) -> None:
    choice = weights.choose(BOTH, FALLBACK, offline=False)
    assert (choice.source.used, choice.source.missing) == ("imagenet", ())
    assert not choice.source.fell_back
    for name in BOTH:
        path = choice.paths[name]
        assert path == checkpoints / file_of(published[name])
        assert choice.weights[name].name == "IMAGENET1K_V1"
        assert (choice.weights[name].sha256 or "").startswith(path.stem[-8:])
        state = weights.load_state(choice.weights[name], path)
        assert state is not None
        expected = random_state(name)
        assert all(torch.equal(state[key], expected[key]) for key in expected)


def test_a_cached_file_serves_without_the_network(
    published: dict[str, str], publisher: Publisher
) -> None:
    online = weights.choose(BOTH, ["imagenet"], offline=False)
    publisher.requests.clear()
    assert weights.choose(BOTH, ["imagenet"], offline=True) == online
    assert publisher.requests.total() == 0


def test_a_survey_says_what_will_be_fetched_and_writes_nothing(
    published: dict[str, str], checkpoints: Path
) -> None:
    twice = {**BOTH, "again": Request("squeezenet1_1", "IMAGENET1K_V1")}
    found = weights.choose(twice, FALLBACK, offline=False, fetch=False)
    assert found.downloads.keys() == set(published.values())
    assert len(found.downloads) == 2
    assert sum(filter(None, found.downloads.values())) == pytest.approx(4.729 + 5.282)
    assert not checkpoints.exists()


def test_one_missing_file_moves_all_to_the_next_source_and_is_told(
    published: dict[str, str],
) -> None:
    one = {"squeezenet1_1": BOTH["squeezenet1_1"]}
    weights.choose(one, ["imagenet"], offline=False)  # only this one is now in the cache
    choice = weights.choose(BOTH, FALLBACK, offline=True)
    assert choice.source.used == "random"
    assert choice.source.fell_back
    assert set(choice.weights.values()) == {weights.RANDOM}
    assert set(choice.paths.values()) == {None}
    (missing,) = choice.source.missing
    assert missing.architecture == "shufflenet_v2_x0_5"
    assert missing.address == published["shufflenet_v2_x0_5"]
    assert missing.folder == "$TORCH_HOME/hub/checkpoints"
    assert missing.why == "not in the cache; offline"


def test_a_server_that_answers_and_does_not_deliver_leads_to_the_next_source(
    published: dict[str, str], publisher: Publisher
) -> None:
    del publisher.files[file_of(published["squeezenet1_1"])]
    choice = weights.choose(BOTH, FALLBACK, offline=False)
    assert choice.source.used == "random"
    assert [m.why for m in choice.source.missing] == ["the server answered 404 Not Found"]


def test_a_server_out_of_reach_leads_to_the_next_source_quickly(
    published: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    member = models.get_model_weights("squeezenet1_1")["IMAGENET1K_V1"]
    monkeypatch.setattr(member.value, "url", "http://127.0.0.1:9/squeezenet1_1-00000000.pth")
    start = time.monotonic()
    choice = weights.choose(BOTH, FALLBACK, offline=False)
    assert time.monotonic() - start < 3.5
    assert choice.source.used == "random"
    assert "127.0.0.1:9 cannot be reached" in choice.source.missing[0].why


def test_a_damaged_cached_file_is_a_reason_offline_and_replaced_online(
    published: dict[str, str], checkpoints: Path
) -> None:
    first = weights.choose(BOTH, FALLBACK, offline=False)
    path = first.paths["squeezenet1_1"]
    assert path is not None
    path.write_bytes(path.read_bytes()[:-7])
    offline = weights.choose(BOTH, FALLBACK, offline=True)
    assert offline.source.used == "random"
    assert "damaged" in offline.source.missing[0].why
    assert weights.choose(BOTH, FALLBACK, offline=False) == first
    assert (checkpoints / f"{path.name}.corrupt").exists()


def test_where_nothing_serves_one_error_names_every_file_address_and_folder(
    published: dict[str, str],
) -> None:
    exact = {"exact": Request("resnet50", "IMAGENET1K_V2")}
    with pytest.raises(WeightsError) as error:
        weights.choose({**BOTH, **exact}, ["imagenet"], offline=True)
    text = str(error.value)
    for address in published.values():
        assert address in text
    assert "resnet50-11ad3fa6.pth" in text
    assert text.count("$TORCH_HOME/hub/checkpoints") == 3
    assert 'weights = ["imagenet", "random"]' in text


def test_exact_weights_never_fall_back(published: dict[str, str], publisher: Publisher) -> None:
    exact = {**BOTH, "squeezenet1_1": Request("squeezenet1_1", "IMAGENET1K_V1")}
    with pytest.raises(WeightsError, match="squeezenet1_1-") as error:
        weights.choose(exact, FALLBACK, offline=True)
    assert "shufflenet" not in str(error.value)
    del publisher.files[file_of(published["squeezenet1_1"])]
    with pytest.raises(WeightsError, match="404"):
        weights.choose(exact, FALLBACK, offline=False)


def test_exact_weights_keep_their_source_where_the_others_fall_back(
    published: dict[str, str],
) -> None:
    exact = {"fixed": Request("squeezenet1_1", "IMAGENET1K_V1")}
    weights.choose(exact, ["imagenet"], offline=False)
    general = {"free": BOTH["shufflenet_v2_x0_5"]}
    choice = weights.choose({**exact, **general}, FALLBACK, offline=True)
    assert choice.weights["fixed"].source == "imagenet"
    assert choice.weights["free"].source == "random"


def test_a_resumed_run_keeps_its_source_or_stops(published: dict[str, str]) -> None:
    kept = weights.choose(BOTH, FALLBACK, offline=False, pinned_source="random")
    assert kept.source.used == "random"
    assert kept.source.wanted == FALLBACK
    with pytest.raises(WeightsError, match="offline"):
        weights.choose(BOTH, FALLBACK, offline=True, pinned_source="imagenet")


def test_an_unknown_member_names_the_accepted_ones_and_the_likely_one() -> None:
    with pytest.raises(WeightsError, match=r'did you mean "IMAGENET1K_V2".*IMAGENET1K_V1'):
        weights.published_weights("resnet50", "imagenet1k_v_2")
    found = weights.published_weights("resnet50", "IMAGENET1K_V1")
    assert (found.megabytes, found.top1) == (97.781, 76.13)


def test_all_unknown_members_are_named_at_once() -> None:
    wrong = {name: Request(name, "DEFAULTS") for name in ("resnet18", "vgg16")}
    with pytest.raises(WeightsError, match=r"resnet18 .*\nvgg16 "):
        weights.choose(wrong, FALLBACK, offline=True)


@pytest.mark.parametrize("preference", [[], ["imagnet"]])
def test_a_list_without_a_known_source_is_refused(preference: list[str]) -> None:
    with pytest.raises(WeightsError, match="accepted: 'imagenet', 'random', or a folder"):
        weights.choose(BOTH, preference, offline=True)


# ---- folders of one's own -------------------------------------------------------------------


@pytest.fixture
def own(tmp_path: Path) -> Path:
    folder = tmp_path / "own"
    folder.mkdir()
    save_file(random_state("squeezenet1_1"), folder / "squeezenet1_1.safetensors")
    torch.save(random_state("shufflenet_v2_x0_5"), folder / "shufflenet_v2_x0_5.pth")
    return folder


def test_a_folder_serves_both_kinds_of_file(own: Path) -> None:
    choice = weights.choose(BOTH, [str(own)], offline=True)
    assert choice.weights["squeezenet1_1"].name == "squeezenet1_1.safetensors"
    assert choice.weights["shufflenet_v2_x0_5"].name == "shufflenet_v2_x0_5.pth"
    for name, found in choice.weights.items():
        state = weights.load_state(found, choice.paths[name])
        assert state is not None
        assert state.keys() == random_state(name).keys()
        assert len(found.sha256 or "") == 64


def test_no_absolute_path_reaches_what_is_recorded(own: Path) -> None:
    (own / "shufflenet_v2_x0_5.pth").unlink()
    choice = weights.choose(BOTH, [str(own), "random"], offline=True)
    recorded = [choice.source.model_dump_json(), *(w.name for w in choice.weights.values())]
    assert choice.source.used == "random"
    assert choice.source.missing[0].why == "not in the folder"
    assert not any(str(own.parent) in text for text in recorded)


def test_a_resumed_run_finds_the_folder_behind_its_recorded_name(own: Path) -> None:
    first = weights.choose(BOTH, ["imagenet", str(own)], offline=False, pinned_source=".../own")
    assert first.source.used == ".../own"
    assert first.paths["squeezenet1_1"] == own / "squeezenet1_1.safetensors"


def test_a_folder_that_is_not_there_is_missing_like_a_file(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="there is no such folder"):
        weights.choose(BOTH, [str(tmp_path / "nowhere")], offline=True)


def test_a_damaged_file_of_ones_own_is_an_error_and_no_reason_to_fall_back(own: Path) -> None:
    (own / "shufflenet_v2_x0_5.pth").write_bytes(b"garbage")
    save_file(random_state("shufflenet_v2_x0_5"), own / "squeezenet1_1.safetensors")
    with pytest.raises(WeightsError) as error:
        weights.choose(BOTH, [str(own), "random"], offline=True)
    assert "shufflenet_v2_x0_5.pth in .../own: not a plain weights file" in str(error.value)
    assert "not those of squeezenet1_1" in str(error.value)


def test_drawn_weights_need_no_file() -> None:
    assert weights.load_state(weights.RANDOM, None) is None
    assert weights.load_state(weights.SCRATCH, None) is None
    assert weights.RANDOM.init_seed is not None
    assert weights.SCRATCH.init_seed is None


def test_a_file_that_is_damaged_after_the_choice_is_named_when_it_is_read(own: Path) -> None:
    choice = weights.choose(BOTH, [str(own)], offline=True)
    (own / "shufflenet_v2_x0_5.pth").write_bytes(b"")
    name = "shufflenet_v2_x0_5"
    with pytest.raises(WeightsError, match=r"^shufflenet_v2_x0_5\.pth: "):
        weights.load_state(choice.weights[name], choice.paths[name])
