"""Tables made small enough for a browser, extremes kept."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from statistics import fmean
from typing import Any

from trainer.panels.panel import Row

LIMIT = 10_000
"""Rows of a table that W&B draws. It leaves out the rest."""


def thin(
    rows: Sequence[Row],
    *,
    by: Sequence[str],
    how: Mapping[str, str],
    limit: int = LIMIT,
) -> list[Row]:
    """Return at most `limit` rows, but at least one per line. A line is the rows that share `by`, in order.

    Longer lines are cut into equal stretches, and each stretch becomes one row. `how` says which value of the stretch a
    column gets: `min`, `max` or `mean`. `min` and `max` keep the extremes and draw noise as width. `mean`
    keeps the mean width of a band. All three ignore nulls. A stretch of nulls stays null.
    """
    if len(rows) <= limit:
        return list(rows)
    lines: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        lines.setdefault(tuple(row[key] for key in by), []).append(row)
    thinned: list[Row] = []
    spare = max(0, limit - len(lines))  # each line has one row in any case
    for line in lines.values():
        count = min(len(line), 1 + spare * len(line) // len(rows))
        edges = [len(line) * i // count for i in range(count + 1)]
        thinned += [_one(line[a:b], how) for a, b in pairwise(edges)]
    return thinned


def _one(stretch: Sequence[Row], how: Mapping[str, str]) -> Row:
    return {**stretch[0], **{column: over([row[column] for row in stretch], which) for column, which in how.items()}}


def over(values: Sequence[Any], which: str) -> Any:
    """Return the `min`, `max` or `mean` of the values that are not null. Null if none is left."""
    known = [value for value in values if value is not None]
    return {"min": min, "max": max, "mean": fmean}[which](known) if known else None
