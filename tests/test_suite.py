"""Suite files: what is accepted, and how each mistake is said."""

from pathlib import Path
from typing import Any

import pytest

from bench import expand, suite_file
from bench.errors import SuiteError
from bench.expand import Inputs
from bench.record import Cell, Weights
from bench.strategies import STRATEGIES
from bench.suite import DatasetTable
from tests import records

MINIMAL = 'name = "x"\narchitectures = ["resnet18"]\nstrategies = ["partial"]\n'


def read(tmp_path: Path, text: str, dataset: str | None = None) -> suite_file.SuiteFile:
    path = tmp_path / "x.toml"
    path.write_text(text, encoding="utf-8")
    return suite_file.read_suite(path, dataset)


def problems(tmp_path: Path, text: str) -> dict[str, str]:
    with pytest.raises(SuiteError) as caught:
        read(tmp_path, text)
    return {problem.key: problem.text for problem in caught.value.mistakes}


def facts(*labels: str, photographs: bool = False) -> Inputs:
    weights = Weights(source="random", name="random", init_seed=0)
    return Inputs(
        records.data(),
        photographs,
        dict.fromkeys(labels, weights),
        dict.fromkeys(labels, 224),
        {label: not label.startswith(("vit", "vgg")) for label in labels},
    )


def cells(tmp_path: Path, text: str, *labels: str, **kind: bool) -> list[Cell]:
    return expand.cells(read(tmp_path, text).profiles["gpu"], facts(*labels, **kind))


# ---- what is accepted -----------------------------------------------------------------------


def test_three_keys_are_enough(tmp_path: Path) -> None:
    (cell,) = cells(tmp_path, MINIMAL, "resnet18")
    assert (cell.architecture, cell.kind, cell.seed, cell.image_size) == (
        "resnet18",
        "partial",
        0,
        224,
    )
    assert cell.recipe.lr == STRATEGIES["partial"].rates.lr


def test_networks_without_batch_norm_have_rates_of_their_own(tmp_path: Path) -> None:
    text = MINIMAL.replace('["resnet18"]', '["resnet18", "vit_b_16"]')
    text = text.replace('"partial"', '"fine_tuning", { name = "bold", kind = "partial", lr = 0.5 }')
    found = cells(tmp_path, text, "resnet18", "vit_b_16")
    rates = [(cell.recipe.lr, cell.recipe.backbone_lr_scale) for cell in found]
    tuned, partial = STRATEGIES["fine_tuning"], STRATEGIES["partial"]
    assert rates == [
        tuned.rates,
        (0.5, partial.rates.backbone_lr_scale),
        tuned.rates_without_batch_norm,
        (0.5, partial.rates_without_batch_norm.backbone_lr_scale),
    ]


def test_cells_are_the_product_in_file_order(tmp_path: Path) -> None:
    text = MINIMAL.replace('["resnet18"]', '["vgg16", "resnet18"]').replace(
        '["partial"]', '["fine_tuning", "partial"]'
    )
    found = cells(tmp_path, text + "seeds = [3, 1]", "vgg16", "resnet18")
    assert [(c.architecture, c.strategy, c.seed) for c in found] == [
        (architecture, strategy, seed)
        for architecture in ("vgg16", "resnet18")
        for strategy in ("fine_tuning", "partial")
        for seed in (3, 1)
    ]


def test_a_strategy_may_have_seeds_of_its_own_in_every_profile(tmp_path: Path) -> None:
    many = '{ name = "feature_extraction", seeds = [4, 2] }'
    text = MINIMAL.replace('"partial"', f'"partial", {many}')
    suite = read(tmp_path, text + "seeds = [0, 1]\n[on.cpu]\nseeds = [7]").profiles["cpu"]
    assert suite.asked == [
        ("resnet18", "partial", 7),
        ("resnet18", "feature_extraction", 4),
        ("resnet18", "feature_extraction", 2),
    ]


def test_the_margin_of_a_tie_is_a_share_and_half_a_point_where_none_is_given(
    tmp_path: Path,
) -> None:
    assert read(tmp_path, MINIMAL).profiles["cpu"].margin == 0.005
    assert read(tmp_path, MINIMAL + "margin = 0").profiles["gpu"].margin == 0
    assert problems(tmp_path, MINIMAL + "margin = -0.1").keys() == {"margin"}
    assert problems(tmp_path, MINIMAL + "margin = 1.0").keys() == {"margin"}


def test_a_strategy_overrides_the_recipe_and_the_recipe_the_default(tmp_path: Path) -> None:
    text = MINIMAL.replace(
        '["partial"]', '["fine_tuning", {name = "slow", kind = "fine_tuning", lr = 1e-5}]'
    )
    plain, slow = cells(tmp_path, text + "[recipe]\nlr = 2e-4\nepochs = 3", "resnet18")
    assert (plain.recipe.lr, slow.recipe.lr) == (2e-4, 1e-5)
    assert (plain.recipe.epochs, slow.recipe.epochs) == (3, 3)


def test_on_cpu_merges_tables_key_by_key_and_replaces_lists(tmp_path: Path) -> None:
    text = (
        MINIMAL
        + "seeds = [0, 1]\n[recipe]\nepochs = 9\nimage_size = 224\n"
        + "[on.cpu]\nseeds = [5]\n[on.cpu.recipe]\nimage_size = 64\n"
    )
    profiles = read(tmp_path, text).profiles
    assert profiles["cpu"].seeds == [5]
    assert profiles["cpu"].recipe.said() == {"epochs": 9, "image_size": 64}
    assert profiles["gpu"].seeds == [0, 1]
    assert profiles["gpu"].recipe.image_size == 224


def test_a_dataset_on_the_command_line_takes_the_place_of_both_tables(tmp_path: Path) -> None:
    text = (
        MINIMAL
        + '[dataset]\nsource = "a/"\ntrain_per_class = 3\n[on.cpu.dataset]\nval_per_class = 4\n'
    )
    for profile in read(tmp_path, text, dataset="mine").profiles.values():
        assert profile.dataset == DatasetTable(source="mine")


def test_photographs_are_mirrored_and_digits_are_not(tmp_path: Path) -> None:
    for photographs in (True, False):
        (cell,) = cells(tmp_path, MINIMAL, "resnet18", photographs=photographs)
        assert cell.recipe.flip is photographs


def test_a_byte_order_mark_and_windows_line_ends_are_accepted(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_bytes(b"\xef\xbb\xbf" + MINIMAL.replace("\n", "\r\n").encode())
    assert suite_file.read_suite(path).profiles["gpu"].name == "x"


def test_exact_weights_give_a_label_of_their_own(tmp_path: Path) -> None:
    text = MINIMAL.replace(
        '["resnet18"]', '["resnet50", {name = "resnet50", weights = "IMAGENET1K_V2"}]'
    )
    found = cells(tmp_path, text, "resnet50", "resnet50:IMAGENET1K_V2")
    assert [cell.architecture_label for cell in found] == ["resnet50", "resnet50:IMAGENET1K_V2"]


def test_from_scratch_needs_no_weights(tmp_path: Path) -> None:
    text = MINIMAL.replace("partial", "from_scratch")
    assert not expand.needs_weights(read(tmp_path, text).profiles["gpu"])
    (cell,) = cells(tmp_path, text, "resnet18")
    assert cell.weights.source == "scratch"


def test_two_phase_halves_the_epochs(tmp_path: Path) -> None:
    text = MINIMAL.replace("partial", "two_phase") + "[recipe]\nepochs = 7"
    (cell,) = cells(tmp_path, text, "resnet18")
    assert cell.recipe.head_epochs == 3


def test_what_is_kept_of_a_run_is_not_part_of_any_cell(tmp_path: Path) -> None:
    found = [
        cells(tmp_path, f'{MINIMAL}keep_weights = "{keep}"', "resnet18")
        for keep in ("winner", "all", "none")
    ]
    assert found == [cells(tmp_path, MINIMAL, "resnet18")] * 3
    assert read(tmp_path, MINIMAL).profiles["gpu"].keep_weights == "winner"


# ---- mistakes -------------------------------------------------------------------------------


def test_all_mistakes_are_listed_at_once_with_their_keys(tmp_path: Path) -> None:
    text = """
name = "x"
architectures = ["resnet51", "resnet18"]
strategies = ["fine_tunning", {name = "own"}]
seedz = [1]
seeds = [0, 0]
metric = "top3"
"a.key" = 1
[dataset]
train_per_class = 0
[recipe]
lr = "fast"
epochs = 1.5
batch_size = true
label_smoothing = 1.0
presicion = "bf16"
"""
    found = problems(tmp_path, text)
    assert found["architectures[0].name"].startswith('architecture "resnet51" unknown – did you')
    assert (
        "resnet50" in found["architectures[0].name"]
        or "resnet101" in found["architectures[0].name"]
    )
    assert 'did you mean "fine_tuning"?' in found["strategies[0]"]
    assert 'needs a "kind"' in found["strategies[1]"]
    assert found["a.key"].startswith("unknown key – accepted are name, ")
    assert found["seedz"] == 'unknown key – did you mean "seeds"?'
    assert found["metric"].startswith('"top3" unknown – did you mean "top1"?')
    assert found["metric"].endswith('accepted are "top1", "balanced_accuracy"')
    assert found["dataset.train_per_class"] == "must be at least 1 (got 0)"
    assert found["recipe.lr"] == 'must be a number (got "fast")'
    assert found["recipe.epochs"] == "must be a whole number (got 1.5)"
    assert found["recipe.batch_size"] == "must be a whole number (got true)"
    assert found["recipe.label_smoothing"] == "must be less than 1.0 (got 1.0)"
    assert found["recipe.presicion"] == 'unknown key – did you mean "precision"?'


@pytest.mark.parametrize(
    ("text", "key", "part"),
    [
        ("", "name", "required"),
        (MINIMAL + "x = [", "line 4, column 6", "invalid value"),
        (MINIMAL + 'name = "y"', "line 4, column 1", "overwrite"),
        (MINIMAL + "seeds = 3", "seeds", "must be a list"),
        (MINIMAL + "seeds = []", "seeds", "must not be empty"),
        (MINIMAL + "seeds = [1, 1]", "seeds", '"1" appears more than once'),
        (
            MINIMAL.replace('"partial"', '{name = "partial", seeds = [1, 1]}'),
            "strategies[0].seeds",
            '"1" appears more than once',
        ),
        (
            MINIMAL.replace('"partial"', '{name = "partial", seeds = []}'),
            "strategies[0].seeds",
            "must not be empty",
        ),
        (MINIMAL + 'weights = ["imagnet"]', "weights[0]", '"imagenet", "random", or a folder'),
        (MINIMAL + "[on.gpu]\nseeds = [1]", "on.gpu", "cpu"),
        (MINIMAL + "[on.cpu.recipe]\nlr = -1", "on.cpu.recipe.lr", "greater than 0"),
        (
            MINIMAL.replace('"partial"', '{name = "fine_tuning", stages = 2}'),
            "strategies[0].stages",
            "has no effect on fine_tuning",
        ),
        (
            MINIMAL + 'keep_weights = "first"',
            "keep_weights",
            'accepted are "winner", "best", "all", "none"',
        ),
        (MINIMAL + "recipe = 3", "recipe", "must be a table (got 3)"),
        (MINIMAL + "[recipe]\nstages = 9", "recipe.stages", "resnet18 has 5 stages (got 9)"),
        (MINIMAL + "[recipe]\nlr = nan", "recipe.lr", "finite"),
        (MINIMAL + '[recipe]\nviews = 2\naugment = "none"', "recipe.views", "more than one view"),
        (
            MINIMAL.replace("partial", "two_phase") + "[recipe]\nepochs = 1",
            "recipe.epochs",
            "an epoch in each phase",
        ),
        (
            MINIMAL.replace("resnet18", "vit_b_16") + "[recipe]\nimage_size = 50",
            "recipe.image_size",
            "vit_b_16 cannot use 50 px; the nearest size that it accepts is 48",
        ),
        (
            MINIMAL.replace('"resnet18"', '"vgg16", "vgg16"'),
            "architectures",
            '"vgg16" appears more than once',
        ),
        (f"{MINIMAL}seeds = {list(range(10_001))}", "", "10,001 cells"),
    ],
)
def test_a_mistake_is_named_where_it_stands(tmp_path: Path, text: str, key: str, part: str) -> None:
    found = problems(tmp_path, text)
    assert part in found.get(key, f"{key} is not among {found}")


def test_a_mistake_in_both_profiles_is_said_once(tmp_path: Path) -> None:
    with pytest.raises(SuiteError) as caught:
        read(tmp_path, MINIMAL + "[recipe]\nlr = -1")
    assert [problem.key for problem in caught.value.mistakes] == ["recipe.lr"]


def test_a_missing_file_names_the_one_that_was_meant(tmp_path: Path) -> None:
    (tmp_path / "capstone.toml").write_text(MINIMAL)
    with pytest.raises(SuiteError, match=r"capstone\.toml"):
        suite_file.read_suite(tmp_path / "capston.toml")


def test_a_folder_and_another_encoding_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match="is a folder"):
        suite_file.read_suite(tmp_path)
    path = tmp_path / "x.toml"
    path.write_bytes(MINIMAL.encode("utf-16"))
    with pytest.raises(SuiteError, match=r"not UTF-8 text \(byte 0xff at offset 0\)"):
        suite_file.read_suite(path)


def test_merge_leaves_its_arguments_alone() -> None:
    base: dict[str, Any] = {"a": {"x": 1, "y": [1]}, "b": 2}
    assert suite_file.merge(base, {"a": {"y": [3]}}) == {"a": {"x": 1, "y": [3]}, "b": 2}
    assert base == {"a": {"x": 1, "y": [1]}, "b": 2}


def test_a_head_on_eval_crops_is_not_said_to_be_augmented(tmp_path: Path) -> None:
    text = MINIMAL.replace("partial", "feature_extraction")
    (crops,) = cells(tmp_path, text, "resnet18", photographs=True)
    (views,) = cells(tmp_path, text + "[recipe]\nviews = 2", "resnet18", photographs=True)
    assert (crops.recipe.augment, crops.recipe.flip) == ("none", False)
    assert (views.recipe.augment, views.recipe.flip) == ("standard", True)


# ---- what a comparison takes for a regression -----------------------------------------------

COMPARE = """
[compare]
visible_drop = 0.02
[[compare.thresholds]]
metric = "train_seconds"
floor = 0.1
[[compare.thresholds]]
metric = "train_seconds"
cells = "vit_*/fine_tuning"
floor = 0.3
"""


def test_thresholds_of_a_comparison_are_by_metric_and_pattern_the_last_one_first(
    tmp_path: Path,
) -> None:
    table = read(tmp_path, MINIMAL + COMPARE).profiles["cpu"].compare
    assert table.visible_drop == 0.02
    assert table.floor("train_seconds", ("vit_b_16", "fine_tuning"), 0.05) == 0.3
    assert table.floor("train_seconds", ("vit_b_16", "partial"), 0.05) == 0.1
    assert table.floor("accuracy", ("vit_b_16", "fine_tuning"), 0.05) == 0.05
    assert read(tmp_path, MINIMAL).profiles["cpu"].compare.visible_drop == 0.03


def test_thresholds_change_no_cell(tmp_path: Path) -> None:
    before, after = (cells(tmp_path, text, "resnet18") for text in (MINIMAL, MINIMAL + COMPARE))
    assert before == after


@pytest.mark.parametrize(
    ("table", "key", "text"),
    [
        ("visible_drop = 3", "compare.visible_drop", "at most 1"),
        ("visible_dorp = 0.1", "compare.visible_dorp", 'did you mean "visible_drop"'),
        ("thresholds = [{floor = 0.1}]", "compare.thresholds[0].metric", "required"),
        (
            'thresholds = [{metric = "time", floor = 0.1}]',
            "compare.thresholds[0].metric",
            "train_seconds",
        ),
        (
            'thresholds = [{metric = "accuracy", floor = 0.1, cell = "*"}]',
            "compare.thresholds[0].cell",
            'did you mean "cells"',
        ),
    ],
)
def test_mistakes_in_the_thresholds_are_said(
    tmp_path: Path, table: str, key: str, text: str
) -> None:
    assert text in problems(tmp_path, f"{MINIMAL}[compare]\n{table}\n")[key]


def test_the_regression_suite_is_the_same_task_on_every_machine() -> None:
    file = suite_file.read_suite(Path(__file__).parent.parent / "suites" / "regression.toml")
    assert file.profiles["gpu"] == file.profiles["cpu"]
    made = file.profiles["cpu"]
    assert made.weights == ["random"]
    assert len(made.seeds) == 3


def test_a_data_set_may_lie_at_the_users_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    assert DatasetTable(source="~/pictures").source == "/home/somebody/pictures"
