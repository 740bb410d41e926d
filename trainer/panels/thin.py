"""Tables small enough for a browser, without hiding an extreme."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

Row = dict[str, Any]

LIMIT = 10_000
"""Rows that W&B draws of a table; all above it would leave out."""


def thin(
    rows: Sequence[Row],
    *,
    by: Sequence[str],
    how: Mapping[str, str],
    limit: int = LIMIT,
) -> list[Row]:
    """At most `limit` rows, or one a line. Where there are more, each line (the rows that share `by`, in order) is cut
    into equal stretches, and a stretch becomes one row: `how` says for a column whether it is the `first`, `min`, `max`
    or `mean` of the stretch. With `min` and `max` no extreme is lost, and noise is drawn as width; with `mean` a band
    keeps its mean width.

    Nulls are left out of all three; a stretch of nulls stays null.
    """
    if len(rows) <= limit:
        return list(rows)
    lines: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        lines.setdefault(tuple(row[key] for key in by), []).append(row)
    thinned: list[Row] = []
    spare = max(0, limit - len(lines))  # beyond the one row that each line has in any case
    for line in lines.values():
        count = min(len(line), 1 + spare * len(line) // len(rows))
        edges = [len(line) * i // count for i in range(count + 1)]
        thinned += [_one(line[a:b], how) for a, b in pairwise(edges)]
    return thinned


def _one(stretch: Sequence[Row], how: Mapping[str, str]) -> Row:
    return {**stretch[0], **{column: over([row[column] for row in stretch], what) for column, what in how.items()}}


def over(values: Sequence[Any], what: str) -> Any:
    """The `first`, `min`, `max` or `mean` of what is not null; null where nothing is left."""
    known = [value for value in values if value is not None]
    if what == "first" or not known:
        return values[0] if what == "first" else None
    return {"min": min, "max": max, "mean": lambda found: sum(found) / len(found)}[what](known)
