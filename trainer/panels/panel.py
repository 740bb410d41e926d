"""A panel: a spec, the columns that it draws, and the rows that fill them from groups of runs."""

import copy
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any, Literal

from trainer.runs.groups import one_of_each_seed
from trainer.runs.history import History

Row = dict[str, Any]
"""One line of a table: flat, numbers and texts; null for a value that is not a number."""

Histories = Mapping[str, Sequence[History]]
"""Runs by the label of their configuration."""

Rows = Callable[[Histories], list[Row]]

_HOLE = re.compile(r"\$\{(field|string|panel):([^}:]*)[^}]*\}")


@dataclass(frozen=True)
class Column:
    kind: Literal["number", "text"]
    meaning: str  # with its unit in brackets


@dataclass(frozen=True)
class Preset:
    """One of W&B's own charts. It draws a run's table if none of our specs was pushed."""

    name: str
    fields: Mapping[str, str]  # its fields -> our columns
    strings: Mapping[str, str]  # in addition to the title
    lines: tuple[str, ...] = ()  # columns that become lines, in `lineKey` and `lineVal`

    def table(self, rows: Sequence[Row]) -> list[Row]:
        """Return the rows in the form that the preset reads."""
        if not self.lines:
            return [{column: row[column] for column in dict.fromkeys(self.fields.values())} for row in rows]
        step = self.fields["step"]
        return [{step: row[step], "lineKey": line, "lineVal": row[line]} for line in self.lines for row in rows]


@dataclass(frozen=True)
class Panel:
    name: str
    version: int  # counts changes of spec or columns, because W&B can neither change nor remove a pushed chart
    title: str
    about: str  # what is drawn, on a line under the title
    columns: Mapping[str, Column]
    rows: Rows  # returns no rows if the runs have nothing to draw
    needs: str  # what the runs must have
    preset: Preset | None = None  # None for a panel over several runs, which no single run can fill
    template: str = ""  # name of the spec's file, if it is not the panel's
    parameters: Mapping[str, Any] = field(default_factory=dict[str, Any])  # of the template, for its `${panel:x}`

    @property
    def pushed_name(self) -> str:
        """Name under which a W&B entity has it."""
        return f"cifar-sweeps-{self.name.replace('_', '-')}-v{self.version}"

    @property
    def spec(self) -> dict[str, Any]:
        """Vega-Lite with W&B's placeholders: data `wandb`, `${field:x}`, `${string:title}`, `${string:subtitle}`."""
        path = files("trainer.panels") / "specs" / f"{self.template or self.name}.json"
        return _filled(json.loads(path.read_text(encoding="utf-8")), {"panel": self.parameters})

    @property
    def strings(self) -> dict[str, str]:
        """Default values of the spec's strings."""
        return {"title": self.title, "subtitle": self.about}

    def chart(
        self, rows: Sequence[Row], *, title: str | None = None, subtitle: str | Sequence[str] | None = None
    ) -> dict[str, Any]:
        """Return a complete Vega-Lite spec: columns under their own names, the rows inside, no legend of one entry."""
        strings = {"title": title or self.title, "subtitle": self.about if subtitle is None else subtitle}
        filled = _filled(self.spec, {"field": {column: column for column in self.columns}, "string": strings})
        filled["data"] = {"values": [{column: row.get(column) for column in self.columns} for row in rows]}
        return _with_fitting_legends(filled, rows)


def counting(groups: Histories) -> dict[str, list[History]]:
    """Return the groups with one run of each seed, because a repeated seed is no new draw."""
    return {label: one_of_each_seed(runs)[0] for label, runs in groups.items()}


def holes(spec: Any, kind: Literal["field", "string"]) -> set[str]:
    """Return the names of a spec's placeholders."""
    return {name for other, name in _HOLE.findall(json.dumps(spec)) if other == kind}


def _filled(part: Any, values: Mapping[str, Mapping[str, Any]]) -> Any:
    """Return `part` with the placeholders of the given kinds replaced as W&B does it, also inside of expressions.

    A text that is only a placeholder may become anything, such as a list of lines or a scale.
    """
    if isinstance(part, dict):
        return {key: _filled(value, values) for key, value in part.items()}
    if isinstance(part, list):
        return [_filled(value, values) for value in part]
    if not isinstance(part, str):
        return part

    def value(hole: re.Match[str]) -> Any:
        return values[hole[1]][hole[2]] if hole[1] in values else hole[0]

    if whole := _HOLE.fullmatch(part):
        return copy.deepcopy(value(whole))
    return _HOLE.sub(lambda hole: str(value(hole)), part)


def _of_drawn(scale: Mapping[str, Any], values: Sequence[Any]) -> dict[str, list[Any]]:
    """Return the domain and range of a scale without the values that no row has, which would be in the legend."""
    kept = [pair for pair in zip(scale["domain"], scale["range"], strict=False) if pair[0] in values]
    return {"domain": [value for value, _ in kept], "range": [mark for _, mark in kept]} if kept else {}


_DISTINGUISHING = ("color", "strokeDash", "shape", "size")  # channels


def _with_fitting_legends(part: Any, rows: Sequence[Row]) -> Any:
    """Return `part` without legends of what is the same in all rows or in none, and with the groups in their own order.

    Given that order, Vega makes one legend of colour and dash.
    """
    if isinstance(part, list):
        return [_with_fitting_legends(inner, rows) for inner in part]
    if not isinstance(part, dict):
        return part
    fitting = {key: value if key == "data" else _with_fitting_legends(value, rows) for key, value in part.items()}
    for channel in _DISTINGUISHING:
        encoding = fitting.get(channel)
        if isinstance(encoding, dict) and "field" in encoding:
            values = list(dict.fromkeys(row[encoding["field"]] for row in rows))
            if len(values) < 2:
                encoding["legend"] = None
            elif encoding["type"] == "nominal" and {"domain", "range"} <= (scale := encoding.get("scale", {})).keys():
                encoding["scale"] = {**scale, **_of_drawn(scale, values)}
            elif encoding["field"] == "group":
                encoding["scale"] = {"domain": values, **encoding.get("scale", {})}
    return fitting
