"""Which cells of a worker share which piece of work: a piece is made once for each of its keys.

A worker has one architecture, so keys hold only what its cells may differ in.
"""

from collections.abc import Hashable

from bench.record import Cell
from bench.strategies import STARTS_FROZEN


def keys_of(cell: Cell) -> list[Hashable]:
    """The pieces that a cell uses."""
    keys = [images_key(cell), warmup_key(cell)]
    if augments(cell):
        keys.append(squares_key(cell))
    if cell.weights.source != "scratch":
        keys.append(backbone_key(cell))
    if cell.kind in STARTS_FROZEN:
        keys += [features_key(cell), heads_key(cell)]
    if cell.kind != "feature_extraction":
        keys.append(step_key(cell))
    return keys


def images_key(cell: Cell) -> Hashable:
    """Decoded images differ by size only: a worker has one pipeline."""
    return ("images", cell.image_size)


def squares_key(cell: Cell) -> Hashable:
    """Squares to augment train from differ by size as well."""
    return ("squares", cell.image_size)


def augments(cell: Cell) -> bool:
    """Whether the cell looks at augmented images of train: live, or as views to cache."""
    live = cell.kind != "feature_extraction" and cell.recipe.augment == "standard"
    return live or (cell.kind in STARTS_FROZEN and cell.recipe.views > 1)


def warmup_key(cell: Cell) -> Hashable:
    """Warm-ups differ by whether the network is trained."""
    trained = cell.kind != "feature_extraction"
    return ("warmup", cell.image_size, cell.recipe.precision, trained)


def backbone_key(cell: Cell) -> Hashable:
    """Backbones differ by size (position embeddings, statistics) and arithmetic."""
    return ("backbone", cell.image_size, cell.recipe.precision)


def features_key(cell: Cell) -> Hashable:
    """Features differ by the views of train as well."""
    recipe = cell.recipe
    augmented = (recipe.views, recipe.flip) if recipe.views > 1 else (1,)
    return ("features", cell.image_size, recipe.precision, *augmented)


def heads_key(cell: Cell) -> Hashable:
    """Heads trained together differ by the seed alone."""
    return ("heads", cell.model_copy(update={"seed": 0}))


def step_key(cell: Cell) -> Hashable:
    """Captured steps differ by what is recorded into them; values and rates are not."""
    recipe = cell.recipe
    augmented = (recipe.augment, recipe.flip if recipe.augment == "standard" else None)
    trained = recipe.stages if cell.kind == "partial" else "all"
    shape = (cell.image_size, recipe.precision, recipe.batch_size, *augmented, trained)
    return ("step", *shape, recipe.label_smoothing, recipe.weight_decay)
