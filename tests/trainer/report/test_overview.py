"""The picture of the whole catalogue."""

from pathlib import Path

import pytest

from trainer.report.pages.index import Line, catalogue
from trainer.report.pages.overview import overview


@pytest.fixture
def lines(write_schedules) -> list[Line]:
    """All rows, of which those of one schedule have three runs."""
    folder: Path = write_schedules({"cosine": [0.91, 0.92, 0.93]})
    return catalogue(folder.parent)[0]


def test_a_row_with_a_verdict_has_its_colour_and_the_interval_of_its_page(lines: list[Line]) -> None:
    rows = overview(lines)["data"]["values"]
    assert len(rows) == sum(line.comparison.figure.unit == "%" for line in lines)
    assert [row["place"] for row in rows] == [*range(len(rows))]
    cosine = next(line for line in lines if line.sweep == "lr_scheduler" and line.comparison.answer.name == "cosine")
    drawn = next(row for row in rows if row["row"] == "cosine" and row["published"] == cosine.comparison.figure.value)
    assert (drawn["low"], drawn["high"]) == cosine.comparison.interval
    assert (drawn["verdict"], drawn["ours"]) == (cosine.state, cosine.comparison.mean)
    others = [row for row in rows if row is not drawn]
    assert {(row["verdict"], row["ours"]) for row in others} == {("no runs", None)}


def test_each_experiment_is_named_once_where_its_rows_begin(lines: list[Line]) -> None:
    named = [row["experiment"] for row in overview(lines)["data"]["values"] if row["experiment"]]
    assert len(set(named)) == len(named) > 20
