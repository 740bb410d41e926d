"""Sections of a report in their order, which the HTML page and the Markdown share."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from trainer.report.pages import beside, grids, outcome, rates, significance
from trainer.report.pages.charts import Chart
from trainer.report.pages.grids import Grid
from trainer.report.pages.guards import warned
from trainer.report.pages.origins import provenance
from trainer.report.pages.pictures import Shown, pictures_of
from trainer.report.pages.readings import elsewhere, other_readings
from trainer.report.pages.sentences import best_epoch_of, floor_text, nothing_missing, order_of, two_humps_of
from trainer.report.table import Table


@dataclass(frozen=True)
class Bullets:
    """A list with bullets."""

    title: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Folded:
    """A long table, folded on the HTML page and left out of the Markdown."""

    grid: Grid


@dataclass(frozen=True)
class Bar:
    """A bar of progress, on a page that is served."""

    parts: tuple[tuple[str, int], ...]  # (state, number of points)


Block = Grid | Chart | Bullets | Folded | Shown | Bar | str
"""Part of a section. A string is a paragraph."""
Section = tuple[str, list[Block]]
"""Title and parts."""


def sections(table: Table, charts: Sequence[Chart]) -> Iterator[Section]:
    """Yield the title and the blocks of each section that has any. Grids without rows and empty texts are left out."""
    for title, blocks in _sections(table, charts):
        if filled := [block for block in blocks if (block.rows if isinstance(block, Grid) else block)]:
            yield title, filled


def _sections(table: Table, charts: Sequence[Chart]) -> Iterator[Section]:
    yield "What was asked", [outcome.outcome(table), outcome.measured(table.measured)]
    reproduced: list[Block] = []
    for experiment in table.experiments:
        heads = beside.published(table, experiment, headlines=True)
        reproduced += [heads, order_of(table, experiment), best_epoch_of(table, experiment)] if heads.rows else []
        reproduced.append(beside.after_the_authors_code(table, experiment))
        reproduced.append(elsewhere(experiment))
    reproduced += other_readings(table)
    yield "Published and reproduced", reproduced
    yield "Every configuration", [grids.configurations(table), two_humps_of(table)]
    yield "Which configurations train", [grids.trained(table)]
    yield "At each learning rate", [rates.gains(table), rates.interaction(table), rates.best_rates(table)]
    yield "Charts", [*charts]
    yield "Pictures of the networks", [*pictures_of(table)]
    yield "Which differences are significant", [*_significant(table), significance.two_noises(table)]
    yield "What could mislead", [warned(table)]
    notes = tuple(f"{experiment.id}: {note}" for experiment in table.experiments for note in experiment.notes)
    gaps = [Bullets("Gaps and contradictions in the report", notes)] if notes else []
    yield "What the report says", [beside.claims(table), beside.by_eye(table), *gaps]
    others = [beside.published(table, experiment, headlines=False) for experiment in table.experiments]
    yield "Other published figures", [*others]
    settings = grids.settings(table)
    yield "Settings", [grids.graded(table), grids.departures(table), *([Folded(settings)] if settings.rows else [])]
    yield "What is missing", [grids.problems(table) if table.problems else nothing_missing(table)]
    yield "Origin of the runs", [provenance(table)]


def _significant(table: Table) -> list[Block]:
    """Return the noise and the tests. Two that are compared by an outcome have their test beside it."""
    if table.asked and table.asked.outcome.seedwise and len(table.asked.filled) == 2:
        return [outcome.noise_of_pairs(table.asked)]
    every = significance.pairs(table)
    noise: list[Block] = [floor_text(table)] if table.pairs or table.floor else []
    noise.append(significance.decisions(table))
    return [
        *noise,
        significance.with_best(table),
        significance.with_control(table),
        *([Folded(every)] if every.rows else []),
    ]
