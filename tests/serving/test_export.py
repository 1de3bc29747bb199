"""An export is the network that was trained, needs no bench, and is whole or not there."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor
from torchvision import models

from bench.folder import weights_path, write_record
from bench.models.state import digest
from bench.predictions import unpack
from bench.record import Failure
from tests import command
from tests.command import SUITE, Place
from tests.serving.conftest import KEPT, KINDS, record_of
from tests.serving.test_predict import files_of
from tests.spoken import Bench

pytestmark = pytest.mark.slow

KIND = "partial"


@pytest.fixture
def copy(run_folder: Path, tmp_path: Path) -> Path:
    """A copy of the run, to be changed."""
    return Path(shutil.copytree(run_folder, tmp_path / "copy"))


def cell_of(folder: Path, kind: str = KIND) -> str:
    return record_of(folder, kind).cell_id


def weights_of(folder: Path, kind: str = KIND) -> Path:
    return weights_path(folder, cell_of(folder, kind))


@pytest.mark.parametrize("kind", KINDS)
def test_the_lines_in_model_json_load_it_without_bench_and_say_what_is_on_record(
    here: Place, bench: Bench, run_folder: Path, tmp_path: Path, kind: str
) -> None:
    check_lines(here, bench, run_folder, tmp_path / "exported", kind)


def test_so_do_those_of_a_network_of_timms(here: Place, bench: Bench, tmp_path: Path) -> None:
    suite = KEPT.replace('["mobilenet_v3_small"]', '["timm:mobilenetv4_conv_small"]')
    suite = suite.replace(str(list(KINDS)), '["partial"]')
    done = command.quick(here, "run", here.suite(suite, "of-timm"), "--out", "of-timm")
    assert done.returncode == 0, done.stderr
    check_lines(here, bench, here.folder / "of-timm", tmp_path / "exported", "partial")


def check_lines(here: Place, bench: Bench, run_folder: Path, target: Path, kind: str) -> None:
    """The lines in model.json, run by themselves, say what is on record of a val image."""
    record = record_of(run_folder, kind)
    done = bench("export", run_folder, "--cell", record.cell_id, "--out", target)
    assert (done.code, done.err) == (0, "")
    about = json.loads((target / "model.json").read_text())
    script = "\n".join(about["how_to_load"])
    assert "bench" not in script
    (target / "load.py").write_text(script)
    recorded = unpack(record.quality.val.predictions)
    picture = files_of(here, run_folder, "val")[0]
    ran = subprocess.run(
        [sys.executable, "-I", "load.py", picture],
        cwd=target,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    found = re.findall(r"\((\S+), '(\w+)'\)", ran.stdout)
    assert found[0][1] == record.cell.data.classes[recorded.predicted_N[0]]
    # One image instead of a batch, and another memory layout: sums in another order.
    assert float(found[0][0]) == pytest.approx(recorded.confidences_N[0], abs=1e-4)


def test_the_lines_see_every_kind_of_picture_as_predict_does(
    bench: Bench, run_folder: Path, tmp_path: Path
) -> None:
    generator = np.random.default_rng(0)
    noise = Image.fromarray(generator.integers(0, 256, (45, 70, 4), dtype=np.uint8))
    turned = Image.Exif()
    turned[0x0112] = 6
    folder = tmp_path / "kinds"
    folder.mkdir()
    noise.save(folder / "clear.png")
    noise.quantize(9).save(folder / "palette.png", transparency=3)
    noise.convert("RGB").save(folder / "turned.jpg", exif=turned, quality=95)
    noise.convert("CMYK").save(folder / "cmyk.tif")
    wide = generator.integers(0, 65536, (50, 50), dtype=np.uint16)
    Image.fromarray(wide).save(folder / "16 bits.png")
    noise.convert("RGB").resize((3, 900)).save(folder / "thin.png")
    whole = (folder / "turned.jpg").read_bytes()
    (folder / "without end.jpg").write_bytes(whole[:-2])
    cell = cell_of(run_folder)
    assert bench("export", run_folder, "--cell", cell, "--out", tmp_path / "exported").code == 0
    done = bench("predict", run_folder, folder, "--cell", cell, "--json")
    assert done.code == 0, done.err
    shares = {
        image["image"]: {one["class"]: one["probability"] for one in image["classes"]}
        for image in json.loads(done.out)["images"]
    }
    assert len(shares) == 7
    about = json.loads((tmp_path / "exported" / "model.json").read_text())
    each = "import sys\nfor sys.argv[1] in sys.argv[1:]:\n    print(sys.argv[1])\n    exec({!r})"
    script = each.format("\n".join(about["how_to_load"]))
    ran = subprocess.run(
        [sys.executable, "-I", "-c", script, *shares],
        cwd=tmp_path / "exported",
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    lines = ran.stdout.splitlines()
    for path, expected in shares.items():
        at = lines.index(path)
        pairs = re.findall(r"\((\S+), '(\w+)'\)", "".join(lines[at + 1 : at + 3]))
        found = {name: float(share) for share, name in pairs}
        assert found == pytest.approx(expected, abs=1e-4), path


def test_what_a_run_found_of_16_bit_grey_is_used_ever_after(
    here: Place, bench: Bench, tmp_path: Path
) -> None:
    generator = np.random.default_rng(0)
    for name, most in (("dim", 1500), ("full", 4095)):
        (tmp_path / "deep" / name).mkdir(parents=True)
        for number in range(10):
            values = generator.integers(most // 2, most, (40, 40), np.uint16, endpoint=True)
            Image.fromarray(values).save(tmp_path / "deep" / name / f"{number}.png")
    suite = KEPT.replace(str(list(KINDS)), '["partial"]')
    of = ("--dataset", tmp_path / "deep", "--out", tmp_path / "run")
    ran = command.quick(here, "run", here.suite(suite, "deep"), *of)
    assert ran.returncode == 0, ran.stderr
    assert "white is: 4095" in " ".join((ran.stdout + ran.stderr).split())
    record = record_of(tmp_path / "run", "partial")
    assert record.cell.data.white == 4095

    target = tmp_path / "exported"
    asked = (tmp_path / "run", "--cell", record.cell_id)
    done = bench("export", *asked, "--images", tmp_path / "deep", "--out", target)
    assert (done.code, "4 of 4 classes as on record" in done.out) == (0, True), done.err
    picture = next((tmp_path / "deep" / "full").iterdir())
    done = bench("predict", asked[0], picture, *asked[1:], "--json")
    (image,) = json.loads(done.out)["images"]
    expected = {one["class"]: one["probability"] for one in image["classes"]}
    about = json.loads((target / "model.json").read_text())
    script = "\n".join(about["how_to_load"])
    lines = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys\n{script}", picture],
        cwd=target, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    pairs = re.findall(r"\((\S+), '(\w+)'\)", lines.stdout)
    assert {name: float(share) for share, name in pairs} == pytest.approx(expected, abs=1e-4)


def test_model_json_says_what_it_is_how_good_and_what_its_files_hold(
    bench: Bench, run_folder: Path, tmp_path: Path
) -> None:
    record, target = record_of(run_folder, KIND), tmp_path / "exported"
    done = bench("export", run_folder, "--cell", record.cell_id, "--out", target)
    assert done.code == 0, done.err
    assert done.out.splitlines()[-1] == f"exported: {target}"
    text = (target / "model.json").read_text()
    assert str(run_folder.parent) not in text
    about = json.loads(text)
    assert about["classes"] == ["cat", "dog"]
    assert about["trained"]["cell_id"] == record.cell_id
    assert about["scores"]["test"]["top1"] == record.quality.test.top1
    assert about["scores"]["test"]["num_images"] == 12
    assert set(about["files"]) == {"model.safetensors"}
    command_line = subprocess.run(["sha256sum", target / "model.safetensors"], capture_output=True)
    assert command_line.stdout.decode().startswith(about["files"]["model.safetensors"]["sha256"])
    assert {oct(path.stat().st_mode & 0o777) for path in target.iterdir()} == {"0o644"}


def test_the_chosen_cell_is_exported_into_the_run_with_a_graph_that_takes_any_batch(
    bench: Bench, copy: Path
) -> None:
    done = bench("export", copy, "--format", "torch")
    assert done.code == 0, done.err
    (target,) = (copy / "export").iterdir()
    assert {path.name for path in target.iterdir()} == {
        *("model.json", "pictures.py", "model.safetensors", "model.pt2")
    }
    graph = torch.export.load(target / "model.pt2").module()
    state = load_file(target / "model.safetensors")
    assert [graph(torch.zeros(n, 3, 32, 32)).shape for n in (1, 5)] == [(1, 2), (5, 2)]
    assert set(state) <= set(graph.state_dict())


@pytest.mark.skipif(
    any(find_spec(name) is None for name in ("onnx", "onnxscript", "onnxruntime")),
    reason="needs the extra `onnx`",
)
def test_graphs_say_what_is_on_record_for_batches_of_any_size(
    here: Place, bench: Bench, run_folder: Path, tmp_path: Path
) -> None:
    import onnxruntime

    record, target = record_of(run_folder, "two_phase"), tmp_path / "exported"
    both = ("--format", "onnx", "--format", "torch")
    done = bench("export", run_folder, "--cell", record.cell_id, *both, "--out", target)
    assert done.code == 0, done.err
    session = onnxruntime.InferenceSession(str(target / "model.onnx"))
    graph = torch.export.load(target / "model.pt2").module()
    weights = models.MobileNet_V3_Small_Weights.IMAGENET1K_V1
    pipeline = weights.transforms(crop_size=32, resize_size=round(256 * 32 / 224))
    pictures = [Image.open(path) for path in files_of(here, run_folder, "val")]
    images = torch.stack([pipeline(picture) for picture in pictures])
    recorded = unpack(record.quality.val.predictions)
    for batch in (images, images[:1]):
        (logits,) = session.run(["logits"], {"images": batch.numpy()})
        for found in (torch.from_numpy(logits), graph(batch)):
            shares, classes = found.softmax(1).max(1)
            assert classes.tolist() == recorded.predicted_N[: len(batch)].tolist()
            wanted = recorded.confidences_N[: len(batch)]
            assert shares.tolist() == pytest.approx(wanted, abs=1e-3)


@pytest.mark.skipif(find_spec("onnxruntime") is not None, reason="the extra `onnx` is here")
def test_onnx_is_refused_with_the_line_that_installs_it(
    bench: Bench, run_folder: Path, tmp_path: Path
) -> None:
    done = bench("export", run_folder, "--format", "onnx", "--out", tmp_path / "exported")
    assert done.code == 2
    assert re.search(r"^  pip install .*onnxruntime$", done.err, re.MULTILINE)
    assert not (tmp_path / "exported").exists()


# ---- what it is checked on ------------------------------------------------------------------


def test_images_of_the_run_are_told_from_others(
    here: Place, bench: Bench, run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where no folder `pictures` is
    done = bench("export", run_folder, "--out", tmp_path / "none")
    assert "not checked: the images of pictures are not here" in done.out
    asked = ("--images", here.folder / "pictures")
    done = bench("export", run_folder, "--out", tmp_path / "val", *asked)
    assert "checked on 12 images of the run's val part" in done.out
    assert "12 of 12 classes as on record" in done.out
    about = json.loads((tmp_path / "val" / "model.json").read_text())
    assert about["checked_on"]["as_recorded"] == 12
    check = about["files"]["model.safetensors"]["check"]
    assert 0 <= check["largest_difference"] <= check["tolerance"]
    others = tmp_path / "others"
    shutil.copytree(here.folder / "pictures" / "cat", others)
    done = bench("export", run_folder, "--out", tmp_path / "other", "--images", others)
    assert f"checked on 30 images of {others}" in done.out
    assert "on record" not in done.out


def test_an_image_that_is_no_longer_that_of_the_split_is_no_check(
    here: Place, bench: Bench, run_folder: Path, tmp_path: Path
) -> None:
    changed = Path(shutil.copytree(here.folder / "pictures", tmp_path / "changed"))
    for path in changed.rglob("*.png"):
        path.write_bytes((here.folder / "pictures" / "cat" / "3.png").read_bytes() + b"\0")
    done = bench("export", run_folder, "--out", tmp_path / "never", "--images", changed)
    assert done.code == 2
    assert "changed" in done.err
    assert not (tmp_path / "never").exists()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)


def rewrite(path: Path, change: Callable[[dict[str, Tensor], dict[str, str]], None]) -> None:
    """The file with other values or metadata; its own hash is right for its values."""
    state = load_file(path)
    with safe_open(path, "pt") as file:
        metadata = dict(file.metadata())
    change(state, metadata)
    save_file(state, path, {**metadata, "kept_sha256": digest(state)})


def without_a_value(path: Path) -> None:
    def change(state: dict[str, Tensor], metadata: dict[str, str]) -> None:
        del state["backbone.features.0.1.running_mean"]

    rewrite(path, change)


def of_three_classes(path: Path) -> None:
    three = {"head.layer.bias": torch.zeros(3)}
    rewrite(path, lambda state, metadata: state.update(three))


def with_a_stranger(path: Path) -> None:
    stranger = {"head.stranger": torch.zeros(3)}
    rewrite(path, lambda state, metadata: state.update(stranger))


def of_another_cell(path: Path) -> None:
    rewrite(path, lambda state, metadata: metadata.update({"cell_id": "another"}))


@pytest.mark.parametrize(
    ("damage", "texts"),
    [
        (cut, ["damaged"]),
        (flip, ["damaged", "values"]),
        (without_a_value, ["damaged", "backbone.features.0.1.running_mean is missing"]),
        (of_three_classes, ["head.layer.bias is [3] instead of [2]"]),
        (with_a_stranger, ["head.stranger"]),
        (of_another_cell, ["another cell"]),
    ],
)
def test_a_damaged_file_is_refused(
    bench: Bench, copy: Path, damage: Callable[[Path], None], texts: list[str]
) -> None:
    damage(weights_of(copy))
    before = {path.name for path in copy.iterdir()}
    done = bench("export", copy, "--cell", cell_of(copy))
    assert done.code == 2
    assert done.err.startswith("error[E-INPUT] nothing was exported\n")
    assert all(text in done.err for text in [*texts, cell_of(copy)])
    assert {path.name for path in copy.iterdir()} == before


# ---- runs of an older bench kept only what the source of a backbone cannot give again -------


def made_older(folder: Path) -> None:
    """The file of the frozen-backbone cell as an older bench wrote it: without what is frozen."""

    def change(state: dict[str, Tensor], metadata: dict[str, str]) -> None:
        buffers = ("running_mean", "running_var", "num_batches_tracked")
        frozen = [n for n in state if n.startswith("backbone.") and not n.endswith(buffers)]
        metadata["given_sha256"] = digest({name: state.pop(name) for name in frozen})

    rewrite(weights_of(folder, "feature_extraction"), change)


def test_an_older_file_is_completed_from_where_its_backbone_started(
    here: Place, bench: Bench, copy: Path, tmp_path: Path
) -> None:
    asked = ("export", copy, "--cell", cell_of(copy, "feature_extraction"))
    seen = ("--images", here.folder / "pictures", "--out")
    assert bench(*asked, *seen, tmp_path / "whole").code == 0
    made_older(copy)
    done = bench(*asked, *seen, tmp_path / "older")
    assert (done.code, "12 of 12 classes as on record" in done.out) == (0, True), done.err
    whole, older = (load_file(tmp_path / n / "model.safetensors") for n in ("whole", "older"))
    assert whole.keys() == older.keys()
    assert all(value.equal(older[name]) for name, value in whole.items())


def test_a_backbone_that_is_drawn_otherwise_now_is_refused_with_both_versions(
    bench: Bench, copy: Path
) -> None:
    made_older(copy)
    wrong = {"given_sha256": "0" * 64}
    path = weights_of(copy, "feature_extraction")
    rewrite(path, lambda state, metadata: metadata.update(wrong))
    record = record_of(copy, "feature_extraction")
    machine = record.machine.model_copy(update={"torch": "2.10.99"})
    write_record(copy, record.model_copy(update={"machine": machine}))
    done = bench("export", copy, "--cell", record.cell_id)
    assert done.code == 2
    assert "torch 2.10.99" in done.err
    assert f"torch {torch.__version__}" in done.err


def test_an_older_run_needs_its_own_backbone_file_again(
    here: Place, bench: Bench, tmp_path: Path
) -> None:
    from tests.models.conftest import random_state

    own, run = tmp_path / "own", tmp_path / "run"
    own.mkdir()
    file = own / "mobilenet_v3_small.safetensors"
    save_file(random_state("mobilenet_v3_small"), file)
    suite = SUITE.replace('["random"]', f'["{own}/"]').replace(', "from_scratch"', "")
    done = command.quick(here, "run", here.suite(suite, "own"), "--out", run)
    assert done.returncode == 0, done.stderr
    asked = ("export", run, "--cell", cell_of(run, "feature_extraction"))
    seen = ("--images", here.folder / "pictures", "--out")
    assert "12 of 12 classes as on record" in bench(*asked, *seen, tmp_path / "new").out
    made_older(run)
    refused = bench(*asked)
    assert (refused.code, "--weights DIR" in refused.err) == (2, True)
    given = (*asked, "--weights", own, *seen)
    assert "12 of 12 classes as on record" in bench(*given, tmp_path / "exported").out
    flip(file)
    refused = bench(*given, tmp_path / "never")
    assert (refused.code, str(own) in refused.err) == (2, True)


# ---- refusals -------------------------------------------------------------------------------


def test_weights_that_were_not_kept_name_the_setting(bench: Bench, copy: Path) -> None:
    weights_of(copy).unlink()
    done = bench("export", copy, "--cell", cell_of(copy))
    assert done.code == 2
    assert f"the weights of {cell_of(copy)} were not kept" in done.err
    assert 'set keep_weights = "winner" or "all" in the suite' in done.err


def test_a_cell_must_be_one_of_the_run_and_ok(bench: Bench, copy: Path) -> None:
    good = record_of(copy, KIND)
    done = bench("export", copy, "--cell", good.cell_id[:-1] + "!")
    assert done.code == 2
    assert f'did you mean "{good.cell_id}"' in done.err
    failed = Failure(
        cell_id=good.cell_id, status="failed", kind="crash", reason="its process [bold]died",
        cell=good.cell, seconds=1, machine=good.machine, provenance=good.provenance,
    )  # fmt: skip
    write_record(copy, failed)
    done = bench("export", copy, "--cell", good.cell_id)
    assert done.code == 2
    assert "is failed (crash): its process [bold]died" in done.err
    shutil.rmtree(copy / "cells")
    done = bench("export", copy)
    assert (done.code, "no cell was chosen" in done.err) == (2, True)
    (copy / "run.json").unlink()
    done = bench("export", copy)
    assert (done.code, "holds no run" in done.err) == (6, True)


@pytest.mark.parametrize("there", ["folder", "file", "link"])
def test_what_is_there_already_is_left_alone(
    bench: Bench, run_folder: Path, tmp_path: Path, there: str
) -> None:
    target = tmp_path / "exported"
    match there:
        case "folder":
            target.mkdir()
        case "file":
            target.write_text("mine")
        case "link":
            target.symlink_to(tmp_path / "nowhere")
    done = bench("export", run_folder, "--out", target)
    assert done.code == 6
    assert "already exists" in done.err
    assert [path.name for path in tmp_path.iterdir()] == ["exported"]


def test_a_file_name_is_no_name_for_a_folder(
    bench: Bench, run_folder: Path, tmp_path: Path
) -> None:
    done = bench("export", run_folder, "--out", tmp_path / "winner.onnx")
    assert (done.code, "--out names a folder" in done.err) == (6, True)
