"""A panel: a spec, the columns it draws, and how they come from runs."""

import copy
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Literal

from trainer.runs.history import History

Row = dict[str, Any]
"""One line of a table: flat, numbers and texts; null for what was not a number."""

Rows = Callable[[Sequence[History]], list[Row]]

_HOLE = re.compile(r"\$\{(field|string):([^}:]*)[^}]*\}")


@dataclass(frozen=True)
class Column:
    kind: Literal["number", "text"]
    meaning: str  # with its unit, in brackets


@dataclass(frozen=True)
class Preset:
    """One of W&B's own charts, which draws a run's table where no spec of ours was pushed."""

    name: str
    fields: Mapping[str, str]  # its fields -> our columns
    words: Mapping[str, str]  # for its strings, besides the title
    lines: tuple[str, ...] = ()  # columns to be stacked: a line of `lineKey`, `lineVal` for each

    def table(self, rows: Sequence[Row]) -> list[Row]:
        """The rows as the preset reads them."""
        if not self.lines:
            return [{column: row[column] for column in dict.fromkeys(self.fields.values())} for row in rows]
        step = self.fields["step"]
        return [{step: row[step], "lineKey": line, "lineVal": row[line]} for line in self.lines for row in rows]


@dataclass(frozen=True)
class Panel:
    name: str
    version: int  # counted up with each change of spec or columns: W&B can neither change nor remove what was pushed
    title: str
    about: str  # what is drawn, on a line under the title
    columns: Mapping[str, Column]
    rows: Rows  # empty where the runs have nothing to draw
    needs: str  # of the runs, so that there is something
    preset: Preset | None = None  # None: a panel over several runs, which no single run can fill

    @property
    def pushed_name(self) -> str:
        """Under which it is registered with a W&B entity."""
        return f"cifar-sweeps-{self.name.replace('_', '-')}-v{self.version}"

    @property
    def spec(self) -> dict[str, Any]:
        """Vega-Lite with W&B's placeholders: data `wandb`, `${field:x}`, `${string:title}`, `${string:subtitle}`."""
        path = files("trainer.panels") / "specs" / f"{self.name}.json"
        return json.loads(path.read_text(encoding="utf-8"))

    @property
    def words(self) -> dict[str, str]:
        """What the spec's strings are where nobody says otherwise."""
        return {"title": self.title, "subtitle": self.about}

    def chart(
        self, rows: Sequence[Row], *, title: str | None = None, subtitle: str | Sequence[str] | None = None
    ) -> dict[str, Any]:
        """A whole Vega-Lite spec: columns under their own names, the rows inside. Legends of one entry are left
        out."""
        words: dict[str, Any] = {"title": title or self.title, "subtitle": self.about if subtitle is None else subtitle}
        filled = _filled(self.spec, {"field": dict.fromkeys(self.columns, None), "string": words})
        filled["data"] = {"values": [{column: row.get(column) for column in self.columns} for row in rows]}
        return _with_fitting_legends(filled, rows)


def holes(spec: Any, kind: Literal["field", "string"]) -> set[str]:
    """The names of a spec's placeholders."""
    return {name for found, name in _HOLE.findall(json.dumps(spec)) if found == kind}


def _filled(part: Any, values: Mapping[str, Mapping[str, Any]]) -> Any:
    """`part` with every placeholder replaced, as W&B does it, also inside of expressions. A field's value None: its
    own name. A text that is nothing but a placeholder may become a list of lines."""
    if isinstance(part, dict):
        return {key: _filled(value, values) for key, value in part.items()}
    if isinstance(part, list):
        return [_filled(value, values) for value in part]
    if not isinstance(part, str):
        return part

    def value(hole: re.Match[str]) -> Any:
        given = values[hole[1]][hole[2]]
        return hole[2] if given is None else given

    if whole := _HOLE.fullmatch(part):
        return copy.copy(value(whole))
    return _HOLE.sub(lambda hole: str(value(hole)), part)


_TELLING = ("color", "strokeDash", "shape", "size")


def _with_fitting_legends(part: Any, rows: Sequence[Row]) -> Any:
    """`part` with no legend for what is the same in all rows, and with groups in their own order; told that order, Vega
    makes one legend of colour and dash."""
    if isinstance(part, list):
        return [_with_fitting_legends(each, rows) for each in part]
    if not isinstance(part, dict):
        return part
    found = {key: value if key == "data" else _with_fitting_legends(value, rows) for key, value in part.items()}
    for channel in _TELLING:
        encoding = found.get(channel)
        if isinstance(encoding, dict) and "field" in encoding:
            values = list(dict.fromkeys(row[encoding["field"]] for row in rows))
            if len(values) < 2:
                encoding["legend"] = None
            elif encoding["field"] == "group":
                encoding["scale"] = {"domain": values, **encoding.get("scale", {})}
    return found
