"""Pages for the terminal: each a function from values to something that rich can print.

Names of classes, files and suites are printed as they are, never read as markup.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from bench import cache
from bench.analysis.choice import Row, Summary
from bench.analysis.table import RunTable
from bench.architectures import ARCHITECTURES, FEATURED
from bench.data.sources import SOURCES
from bench.errors import first
from bench.identity import cell_id
from bench.record import MissingWeights, UsedWeights
from bench.report import protocol, sentences, text, units
from bench.running.earlier import other_machine
from bench.running.plan import Plan, Survey, disk_bytes, work
from bench.running.session import Todo
from bench.strategies import STRATEGIES, Rates
from bench.suite import labels_of
from bench.terminal import add, clock_text, prose, table

if TYPE_CHECKING:
    from bench.models.build import Description
    from bench.models.library import Published


def architectures() -> RenderableType:
    made = table("family", "architectures")
    families: dict[str, list[str]] = {"featured": list(FEATURED)}
    for name, row in ARCHITECTURES.items():
        families.setdefault(row.family, []).append(name)
    for family, names in families.items():
        add(made, family, ", ".join(names))
    said = f"{len(ARCHITECTURES)} architectures; bench inspect NAME shows one"
    return Group(
        made, Text(f"\n{said}\nmore of timm: bench list architectures --match 'convnext*'")
    )


def strategies() -> RenderableType:
    made = table("strategy", "lr x backbone", "without batch norm", "what it does")
    for kind, row in STRATEGIES.items():
        add(made, kind, *map(rates, (row.rates, row.rates_without_batch_norm)), row.summary)
    return made


def rates(of: Rates) -> str:
    """`0.001 x 0.3`; the backbone's factor is left out where it is frozen."""
    return f"{of.lr:g} x {of.backbone_lr_scale:g}" if of.backbone_lr_scale else f"{of.lr:g}"


def datasets() -> RenderableType:
    made = table("source", "what it is", "train / val images per class")
    for name, row in SOURCES.items():
        split = "60 / 20 / 20 % of all images"
        if row.train_per_class is not None:
            split = f"{row.train_per_class} / {row.val_per_class}, the rest test"
        add(made, name if name == "digits" else "PATH/", row.summary, split)
    return made


def description(found: "Description") -> RenderableType:
    stages = table("stage", "modules", "parameters", numbers=("parameters",))
    for number, stage in enumerate(found.stages, start=1):
        add(stages, str(number), ", ".join(stage.prefixes), f"{stage.parameters:,}")
    dropout = f", dropout {found.head_dropout:g} before it" if found.head_dropout else ""
    head = f"{found.head} ({found.head_kind}, {found.in_features:,} features{dropout})"
    add(stages, "head", head, f"{found.head_parameters:,}")
    add(stages, "", "total, with 1,000 classes", f"{found.parameters:,}")
    steps = found.preprocessing
    resize = "both sides" if steps.squash else "shorter side"
    mean, std = ("/".join(f"{value:g}" for value in values) for values in (steps.mean, steps.std))
    step = f", multiples of {found.size_multiple}" if found.size_multiple > 1 else ""
    values = {
        **pinned(found.pinned),
        "transforms": f"resize {resize} to {steps.resize_size}, centre crop {steps.crop_size}, "
        f"{steps.interpolation}, mean {mean}, std {std}",
        "multiply-adds": f"{found.macs / 1e9:.3f} G per image at {steps.crop_size} px",
        "image sizes": f"from {found.min_size} px{step}",
        "other weights": ", ".join(found.other_weights) or "none",
    }
    facts = table("", "")
    for key, value in values.items():
        add(facts, key, value)
    return Group(Text(found.name, style="bold"), Text(), stages, Text(), facts)


def pinned(found: "Published | None") -> dict[str, str]:
    if found is None:
        return {"pinned weights": "none are published"}
    size = "" if found.megabytes is None else f", {found.megabytes:.1f} MB"
    scores = {}
    if found.top1 is not None:
        scores["published"] = f"ImageNet-1k top-1 {found.top1:.3f} %, top-5 {found.top5:.3f} %"
    return {
        "pinned weights": f"{found.name} ({found.file.name}{size})",
        "from": found.file.source,
        "pretrained on": found.pretrained_on,
        **scores,
    }


def dry_run(survey: Survey) -> RenderableType:
    plan = survey.plan
    names = [entry.name for entry in plan.suite.strategies]
    labels = labels_of(plan.suite)
    amounts = work(plan.cells, plan.networks)
    shares: dict[tuple[str, str], float] = defaultdict(float)
    for cell, amount in zip(plan.cells, amounts, strict=True):
        shares[cell.architecture_label, cell.strategy] += amount / sum(amounts)
    matrix = table("share of the work", *names, numbers=names)
    for label in labels:
        add(matrix, label, *(f"{shares[label, name]:.1%}" for name in names))
    lines = [
        f"{units.plural(len(plan.cells), 'cell')}: {units.plural(len(labels), 'architecture')} x "
        f"{len(names)} {'strategy' if len(names) == 1 else 'strategies'} x "
        f"{units.seeds(plan.suite)}",
        images_line(plan),
        *source_lines(plan.chosen.source),
        f"predicted time  about {clock_text(survey.seconds)}",
        f"downloads       {downloads_text(plan.chosen.downloads)}",
        f"disk            {disk_text(plan, survey.weights_bytes)}",
    ]
    if cached := plan.cache_bytes:
        images = f"about {cached / 1e6:.0f} MB of decoded images"
        lines.append(f"cache           {images}, {cache.root()}")
    return Group(Text(), matrix, Text(), *prose(lines))


def downloads_text(files: Sequence[tuple[str, float | None]]) -> str:
    known = [size for _, size in files if size is not None]
    texts = [f"{sum(known):.0f} MB in {units.plural(len(known), 'file')}"] if known else []
    if unknown := len(files) - len(known):
        texts.append(f"{units.plural(unknown, 'file')} whose size is not published")
    return ", ".join(texts) or "none"


def disk_text(plan: Plan, weights_bytes: int) -> str:
    """What the run folder will take, with trained weights that are kept at least for a while."""
    total = (disk_bytes(plan.cells) + weights_bytes) / 1e6
    if not weights_bytes:
        return f"about {total:.0f} MB"
    after = " (after the run: one cell's)" if plan.suite.keep_weights == "winner" else ""
    return f"about {total:.0f} MB, {weights_bytes / 1e6:.0f} MB of it trained weights{after}"


def start(plan: Plan, todo: Todo) -> RenderableType:
    run = todo.run
    lines = [images_line(plan), *source_lines(run.source)]
    if todo.lost:
        lines.append(f"run.json was damaged: kept as {todo.lost}, and made anew from the records")
    if todo.done:
        rest = "" if todo.left else "; nothing is left to train"
        lines.append(f"continuing: {len(todo.done)} of {len(run.cells)} cells are done{rest}")
    if todo.done and todo.left and (changed := other_machine(run, plan.hardware.machine)):
        facts = first([str(one).removeprefix("machine.") for one in changed], 3, ";")
        lines.append(f"warning: this run began on another machine or other versions: {facts}")
    if new := set(run.added) - set(map(cell_id, todo.done)):
        cells = units.plural(len(new), "cell")
        lines.append(f"the suite has grown by {cells} since this run began")
    lines += [
        f"the record of {name} was damaged: kept as {moved_to}; the cell runs again"
        for name, moved_to in todo.damaged.items()
    ]
    lines += [
        f"warning: {count} images of {pair} have identical bytes"
        for pair, count in run.duplicates.items()
    ]
    return Group(*prose(lines), Text())


def images_line(plan: Plan) -> str:
    data, notes = plan.images.data, plan.images.dataset.notes
    counts = f"{data.num_train:,} train, {data.num_val:,} val, {data.num_test:,} test"
    noted = f" ({'; '.join(notes)})" if notes else ""
    return f"images: {data.name}, {len(data.classes)} classes, {counts}{noted}"


def source_lines(source: UsedWeights) -> list[str]:
    """Where the weights come from; after a fallback, what it means and what was missing."""
    if not source.fell_back:
        return [f"weights: {source.used}"]
    lines = [f"weights: {source.used} – {source.wanted[0]} is not available for every architecture"]
    by_reason: dict[str, list[MissingWeights]] = {}
    for missing in source.missing:
        by_reason.setdefault(missing.why, []).append(missing)
    for why, files in by_reason.items():
        names = first([missing.file for missing in files], 3)
        lines += [f"  {why}", f"  missing: {names}"]
    if source.missing and (folder := source.missing[0].folder):
        lines.append(f"  looked for in {folder} (addresses: bench inspect NAME)")
    if source.used == "random":
        lines.append(f"  {sentences.RANDOM_WEIGHTS[0]}")
    return lines


def end(folder: Path, made: RunTable, summary: Summary, again: str) -> RenderableType:
    """`again` is the command that tries again what is not ok."""
    numbers = ("val", "test", "train", "memory")
    ranking = table("", "architecture", "strategy", *numbers, numbers=numbers)
    ranked = summary.ranked[:10]
    for row in ranked:
        add(ranking, _mark(row, summary), row.architecture, row.strategy, *_numbers(row))
    if summary.leader:
        guessing = (f"{units.percent(score)} %" for score in summary.guessing)
        add(ranking, "", "guessing", "the commonest class", *guessing, "", "")
    left_out = len(summary.rows) - len(ranked)
    more = [Text(f"and {left_out} more in report.md", style="dim")] if left_out else []
    return Group(Text(), ranking, *more, Text(), *prose(closing(folder, made, summary, again)))


def closing(folder: Path, made: RunTable, summary: Summary, again: str) -> list[str]:
    run = made.run
    lines = list(map(text.plain, chosen(made, summary)))
    if len(summary.tied) > 1:
        lines.append("* highest mean val, = tied with it, + recommended")
    lines += units.odd_notes({row.odd_costs for row in summary.rows})
    if unstable := sentences.unstable_times(run):
        lines.append(f"note: {unstable}")
    if made.results:
        lines.append(f"how: {protocol.in_short(made.results)}")
    counts = Counter[str](record.status for record in made.records.values())
    counts["missing"] = len(run.cells) - len(made.records)
    told = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
    lines.append(f"done: {told} · {clock_text(run.wall_seconds)}")
    if run.source.fell_back and run.source.used == "random":
        lines.insert(0, sentences.RANDOM_WEIGHTS[0])
    for failed in summary.failures:
        name = f"{failed.cell.architecture_label} · {failed.cell.strategy} · s{failed.cell.seed}"
        lines.append(f"{name}: {failed.status} ({failed.kind}): {failed.reason}")
        lines.append(f"  log: {folder}/cells/{failed.cell_id}/log.txt")
    if summary.failures or summary.missing:
        lines.append(f"to try these again: {again}")
    return [*lines, *report_files(folder)]


def chosen(made: RunTable, summary: Summary) -> list[str]:
    """What the records say to choose, in sentences."""
    said = (
        sentences.headline(made, summary),
        sentences.unequal_classes(made, summary),
        sentences.one_answer(made),
        sentences.one_seed(made.run, summary),
    )
    return [sentence for sentence in said if sentence]


def report_files(folder: Path) -> list[str]:
    return [f"report: {folder / 'report.html'}", f"  {folder / 'report.md'}"]


def _mark(row: Row, summary: Summary) -> str:
    tied = "=" if row in summary.tied else ""
    leader = "*" if row is summary.leader else tied
    chosen = "+" if len(summary.tied) > 1 and row is summary.recommended else ""
    return leader + chosen + units.odd_mark(row.odd_costs)


def _numbers(row: Row) -> tuple[str, str, str, str]:
    if row.val is None or row.test is None:
        return ("-", "-", "-", "-")
    return (
        f"{units.score(row.val)} %",
        f"{units.score(row.test)} %",
        "-" if row.train_seconds is None else f"{units.three_digits(row.train_seconds.mean)} s",
        "-" if row.peak_memory_bytes is None else f"{units.mebibytes(row.peak_memory_bytes)} MiB",
    )
