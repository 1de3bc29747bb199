"""How a run was made, told shortly and of every cell truly."""

from collections.abc import Sequence
from itertools import product

from bench.analysis.table import table
from bench.record import Calibration, Failure, Result, Run, Sitting
from bench.report import protocol
from tests import records
from tests.records import cell, result, run

ARCHITECTURES = ("resnet18", "vgg16", "vit_b_16")
STRATEGIES = ("feature_extraction", "two_phase", "partial")


def facts(asked: Run, found: Sequence[Result | Failure]) -> dict[str, str]:
    made = table(asked, found)
    return dict([*protocol.protocol(made), *protocol.machines(made)])


# ---- protocol -------------------------------------------------------------------------------


def test_the_protocol_gives_data_seeds_recipes_and_preprocessing() -> None:
    asked = run(["a"], ["partial", "two_phase"], seeds=[3, 5])
    asked = asked.model_copy(update={"duplicates": {"train/test": 2, "train/val": 0}})
    told = facts(asked, records.drawn(asked, ["partial", "two_phase"]))
    for words in ("digits", "10 classes (0, 1, 2", "300 train, 400 val, 1,000 test", "c" * 12):
        assert words in told["Data"]
    assert told["Identical images on both sides"] == "2 in train/test"
    assert told["Note"] == "3 hidden files were left out"
    assert told["Seeds"].startswith("3, 5;")
    shared = told["Recipe of every strategy"]
    assert "epochs 10, batch_size 32, lr 0.001" in shared
    assert "flip off" in shared
    assert "head_epochs" not in shared
    assert told["Recipe of two_phase"] == "kind two_phase, head_epochs 5"
    assert told["Recipe of partial"] == "kind partial, stages 1"
    assert told["Preprocessing of a"] == (
        "48 px, resize 55, centre crop 48, bilinear, antialias, mean 0.485/0.456/0.406, "
        "std 0.229/0.224/0.225"
    )
    assert "sha256" not in told["Weights of a"]


def test_the_protocol_gives_the_seeds_of_each_strategy_where_they_differ() -> None:
    asked = run(["a"], ["partial", "two_phase"], seeds=[3], own_seeds={"two_phase": [3, 5]})
    told = facts(asked, records.drawn(asked, ["partial", "two_phase"]))
    assert told["Seeds"] == "partial: 3; two_phase: 3, 5; every cell sees the same split"


def test_pretrained_weights_carry_the_start_of_their_hash() -> None:
    asked = run(["a"], ["partial"], source="imagenet")
    told = facts(asked, [result(cell("a", "partial", 0, "imagenet"))])
    assert told["Weights of a"] == "imagenet IMAGENET1K_V1, sha256 f37072fd"


def test_hundreds_of_architectures_are_counted() -> None:
    names = [f"net_{i}" for i in range(300)]
    asked = run(names, ["partial"])
    steps = asked.preprocessing["net_0"]
    sizes = {name: steps.model_copy(update={"resize_size": i % 30}) for i, name in enumerate(names)}
    asked = asked.model_copy(update={"preprocessing": sizes})
    told = facts(asked, [result(cell(name, "partial", 0)) for name in names])
    (weights,) = (title for title in told if title.startswith("Weights of"))
    assert weights.endswith("net_11 and 288 more")
    assert sum(title.startswith("Preprocessing") for title in told) == 25
    assert told["Preprocessing"].startswith("6 more")


def test_other_machines_are_told_by_what_differs() -> None:
    asked = run(["a", "b"], ["partial"])
    other = records.CPU.model_copy(update={"usable_cores": 8})
    found = [
        result(cell("a", "partial", 0)),
        result(cell("b", "partial", 0), machine=other),
    ]
    assert facts(asked, found)["Of 1 cell on another machine"] == "usable cores 8"


def test_a_run_without_records_has_its_machine_and_no_end() -> None:
    asked = run(["a"], ["partial"]).model_copy(update={"finished_at": None})
    told = facts(asked, [])
    assert told["UTC"].endswith("not finished")
    assert told["CPU"].startswith("AMD EPYC")
    assert "Precision" not in told


# ---- execution ------------------------------------------------------------------------------


def grid() -> dict[tuple[str, str], Result]:
    """Three architectures under three strategies on a GPU: captured steps, images decoded here."""
    return {
        names: result(cell(*names, 0), machine=records.GPU)
        for names in product(ARCHITECTURES, STRATEGIES)
    }


def executed(found: dict[tuple[str, str], Result]) -> dict[str, str]:
    return dict(protocol.executed(list(found.values())))


def test_what_holds_for_all_cells_is_told_once() -> None:
    assert executed(grid()) == {
        "Precision": "fp32",
        "Images": "decoded in this run, resident",
        "Features of frozen backbones": "computed in this run",
        "Training steps": "as CUDA graphs",
    }


def test_what_concerns_no_cell_is_not_told() -> None:
    alone = dict(protocol.executed([result(cell("resnet18", "partial", 0))]))
    assert "Features of frozen backbones" not in alone
    assert protocol.executed([]) == []


def test_cells_that_differ_are_named_by_strategy_or_architecture_where_those_are_whole() -> None:
    found = grid()
    for names in found:
        if "partial" in names or names[0] == "vgg16" or names == ("vit_b_16", "two_phase"):
            found[names] = records.executed(found[names], captured=False)
    assert executed(found)["Training steps"] == (
        "one by one; as CUDA graphs: resnet18 (feature_extraction, two_phase), "
        "vit_b_16 (feature_extraction)"
    )
    for names in found:
        captured = "partial" not in names and names != ("vgg16", "two_phase")
        found[names] = records.executed(found[names], captured=captured)
    assert executed(found)["Training steps"] == (
        "as CUDA graphs; one by one: partial, vgg16 (two_phase)"
    )


def test_an_architecture_is_whole_where_all_cells_that_the_fact_concerns_are_among_them() -> None:
    found = grid()
    for names, one in found.items():
        if names[0] == "vit_b_16" and one.cost.features:
            found[names] = records.reused(one)
    assert executed(found)["Features of frozen backbones"] == (
        "computed in this run; kept by an earlier run †: vit_b_16"
    )


def test_each_way_has_its_words() -> None:
    one = records.executed(result(cell("resnet18", "partial", 0)), compiled=True, resident=False)
    for images, words in {
        "cold": "decoded in this run",
        "warm": "decoded by an earlier run",
        "bypassed": "decoded in each worker, without the cache",
    }.items():
        cost = one.cost.model_copy(update={"images": images})
        told = dict(protocol.executed([one.model_copy(update={"cost": cost})]))
        assert told["Images"] == f"{words}, streamed from the disk"
        assert told["Training steps"] == "one by one, compiled"


def test_a_long_list_of_names_is_cut_and_in_short_cells_are_counted() -> None:
    found = [result(cell(f"net{n}", "partial", 0)) for n in range(30)]
    found = [
        records.executed(one, threads=8 if n < 10 else 2, captured=n < 10)
        for n, one in enumerate(found)
    ]
    told = protocol.told(found, protocol.settings, protocol.among)
    assert told.endswith(": net0, net1, net2, net3, net4, net5 and 4 more")
    assert protocol.in_short(found).endswith("steps one by one; as CUDA graphs in 10 of 30 cells")


# ---- calibration ----------------------------------------------------------------------------

START = Calibration(
    matmul_fp32_flops=2.345e12, matmul_bf16_flops=None, copy_bytes_per_second=4e10,
    upload_bytes_per_second=None, conv_seconds=0.010, loop_seconds=0.020, seconds=0.8,
    sizes={"matmul_fp32": 2048, "matmul_bf16": 4096, "copy": 1 << 26},
)  # fmt: skip


def calibrations(*sittings: Sitting) -> dict[str, str]:
    asked = run(["a"], ["partial"]).model_copy(update={"sittings": sittings})
    return {k: v for k, v in facts(asked, []).items() if k.startswith("Calibration")}


def test_both_ends_are_told_with_the_sizes_of_their_probes() -> None:
    end = START.model_copy(update={"copy_bytes_per_second": 3.6e10})
    (told,) = calibrations(Sitting(start=START, end=end, load=0.123)).values()
    began, ended, load = told.split("; ")
    for words in (
        "fp32 matmul 2,345 GFLOP/s (2048 x 2048)",
        "memory copy 40.0 GB/s (64 MiB)",
        "convolution 10.0 ms",
        "Python loop 20.0 ms",
    ):
        assert words in began
    assert "memory copy 36.0 GB/s" in ended
    assert "0.12" in load
    assert "bf16" not in told


def test_sittings_are_numbered_and_an_end_that_was_not_reached_is_unknown() -> None:
    first, second = calibrations(Sitting(start=START), Sitting(start=None)).items()
    assert (first[0][-1], second[0][-1]) == ("1", "2")
    assert first[1].endswith("at the end unknown")
    assert second[1] == "at the start unknown; at the end unknown"
