"""How cells were run, told shortly and of every cell truly."""

from itertools import product

from bench.record import Result
from bench.report import execution
from tests import records

ARCHITECTURES = ("resnet18", "vgg16", "vit_b_16")
STRATEGIES = ("feature_extraction", "two_phase", "partial")


def grid() -> dict[tuple[str, str], Result]:
    """Three architectures under three strategies on a GPU: captured steps, images decoded here."""
    return {
        names: records.result(records.cell(*names, 0), machine=records.GPU)
        for names in product(ARCHITECTURES, STRATEGIES)
    }


def told(found: dict[tuple[str, str], Result], title: str) -> str:
    return execution.facts(list(found.values()))[title]


def test_what_holds_for_all_cells_is_told_once() -> None:
    assert execution.facts(list(grid().values())) == {
        "Precision": "fp32",
        "Images": "decoded in this run, resident",
        "Features of frozen backbones": "computed in this run",
        "Training steps": "as CUDA graphs",
    }


def test_what_concerns_no_cell_is_not_told() -> None:
    found = [records.result(records.cell("resnet18", "partial", 0))]
    assert "Features of frozen backbones" not in execution.facts(found)
    assert execution.facts([]) == {}


def test_cells_that_differ_are_named_by_strategy_or_architecture_where_those_are_whole() -> None:
    found = grid()
    for names in found:
        if "partial" in names or names[0] == "vgg16" or names == ("vit_b_16", "two_phase"):
            found[names] = records.executed(found[names], captured=False)
    assert told(found, "Training steps") == (
        "one by one; as CUDA graphs: resnet18 (feature_extraction, two_phase), "
        "vit_b_16 (feature_extraction)"
    )
    for names in found:
        captured = "partial" not in names and names != ("vgg16", "two_phase")
        found[names] = records.executed(found[names], captured=captured)
    assert told(found, "Training steps") == (
        "as CUDA graphs; one by one: partial, vgg16 (two_phase)"
    )


def test_an_architecture_is_whole_where_all_cells_that_the_fact_concerns_are_among_them() -> None:
    found = grid()
    for names, one in found.items():
        if names[0] == "vit_b_16" and one.cost.features:
            found[names] = records.reused(one)
    assert told(found, "Features of frozen backbones") == (
        "computed in this run; kept by an earlier run †: vit_b_16"
    )


def test_each_way_has_its_words() -> None:
    one = records.executed(
        records.result(records.cell("resnet18", "partial", 0)), compiled=True, resident=False
    )
    for images, text in {
        "cold": "decoded in this run",
        "warm": "decoded by an earlier run",
        "bypassed": "decoded in each worker, without the cache",
    }.items():
        cost = one.cost.model_copy(update={"images": images})
        facts = execution.facts([one.model_copy(update={"cost": cost})])
        assert facts["Images"] == f"{text}, streamed from the disk"
        assert facts["Training steps"] == "one by one, compiled"


def test_a_long_list_of_names_is_cut() -> None:
    found = [records.result(records.cell(f"net{n}", "partial", 0)) for n in range(30)]
    found = [records.executed(one, threads=8 if n < 10 else 2) for n, one in enumerate(found)]
    text = execution.told(found, execution.settings, execution.among)
    assert text.endswith(": net0, net1, net2, net3, net4, net5 and 4 more")
    counted = execution.told(found, execution.settings, execution.counted)
    assert counted.endswith(" in 10 of 30 cells")
