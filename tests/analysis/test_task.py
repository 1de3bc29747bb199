"""Records that cannot stand in one table are refused by the fields that differ."""

from typing import Any

import pytest

from bench.analysis.task import check_one_task
from bench.record import Result
from tests.records import cell, failure, result


def of(seed: int = 0, architecture: str = "a", **changed: Any) -> Result:
    """A record of a cell that was asked for in another way."""
    one = result(cell(architecture, "partial", seed))
    return one.model_copy(update={"cell": one.cell.model_copy(update=changed)})


def split(**changed: object) -> dict[str, Any]:
    return {"data": of().cell.data.model_copy(update=changed)}


def test_what_may_differ_does() -> None:
    check_one_task([])
    check_one_task([[None, None], [of(), of(seed=1), failure(cell("a", "partial", 2))]])
    check_one_task([[of()], [of(architecture="b", image_size=224)]])
    check_one_task([[of()], [of(architecture="b", **split(name="the same, elsewhere"))]])


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (split(split_sha256="e" * 64), r"data\.split_sha256 is d+… and e+…"),
        (split(content_sha256="e" * 64), r"data\.content_sha256"),
        (split(classes=("cat", "dog")), r"data\.classes is .*'0'.* and \('cat', 'dog'\)"),
        ({"metric": "balanced_accuracy"}, r"metric is the default and balanced_accuracy"),
    ],
)
def test_all_cells_share_images_and_metric(changed: dict[str, Any], said: str) -> None:
    other = of(architecture="b", **changed)
    with pytest.raises(ValueError, match=rf"a-partial-s0.* and b-partial-s0.*{said}"):
        check_one_task([[of()], [None, other]])
    with pytest.raises(ValueError, match=said):
        check_one_task([[of()], [failure(other.cell)]])


def test_the_seeds_of_a_row_share_all_the_rest_and_every_difference_is_named() -> None:
    recipe = of().cell.recipe.model_copy(update={"epochs": 20, "lr": 0.5})
    other = of(seed=1, recipe=recipe, image_size=224)
    with pytest.raises(ValueError, match=r"image_size is 48 and 224; .*epochs is 10 and 20.*lr"):
        check_one_task([[of(), other]])
