"""A run as a line of an archive: JSON with everything that a report reads, and nothing about a person.

The hash is that of `config`, whose keys change numbers. So a later trainer, which knows other keys, still reads it.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from trainer.files import finite_or_none
from trainer.runs.bits import pack_bits, unpack_bits
from trainer.runs.folder import hash_of
from trainer.runs.groups import SEED, decisive
from trainer.runs.history import History, oddities
from trainer.runs.outcomes import BAND_KEYS, TRACED, WALK_KEYS, Outcome, Trace
from trainer.runs.private import public, public_config, public_provenance
from trainer.runs.results import CURVES, Note, Result, numbers_of, strictly
from trainer.runs.trace_text import TraceText, pack_trace, unpack_trace

FORMATS = (1, 2, 3)
"""Formats that this trainer reads. A line has the lowest that an older trainer could read it by: 2 is with traces, 3
with those of other keys than BAND_KEYS."""


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    format: Literal[1, 2, 3]
    hash: str = Field(pattern=r"^[0-9a-f]{8}$")
    """Hash of `config`, eight hex digits, as in the name of a sweep's run folder."""
    name: str = Field(pattern=r"^[^/\x00-\x1f\x7f]+$")
    config: dict[str, Any]
    """Flat keys that change numbers, and the seed."""
    other: dict[str, Any]
    """The rest of the resolved config."""
    rows: dict[str, list[int | float | None]]
    """Columns of the rows of epochs' ends, all of one length."""
    measures: dict[str, float]
    summary: dict[str, Any]
    confusion: list[list[int]]
    classes: list[str]
    correct: str | None
    """One bit for each test image, as `bits.pack_bits` writes it. Null if the run did not keep it."""
    provenance: dict[str, Any]
    notes: list[list[str]]
    traces: dict[str, TraceText] = {}
    """Steps and values that bands over learning rates and pictures are made of, by key of the rows."""


@dataclass(frozen=True)
class Entry:
    """A run of an archive, or one that can be put into it."""

    text: str  # its line
    hash: str
    result: Result

    @cached_property
    def numbers(self) -> list[dict[str, Any]]:
        return numbers_of(self.result.history)


def entry_of(result: Result, asked: Iterable[Outcome] = ()) -> Entry:
    """Return a run as an entry. Its result stays as it was read. Its line is without what is private.

    What the outcomes in `asked` are read from is kept, beside what every page shows.
    """
    history = result.history
    changing = {SEED: history.config.get(SEED) or 0, **decisive(history.config)}
    asked = sorted(asked, key=lambda outcome: outcome.name)
    drawn = {*BAND_KEYS, *WALK_KEYS, *(outcome.key for outcome in asked if outcome.over_rates)}
    traces = {key: pack_trace(trace) for key, trace in result.traces.items() if key in drawn}
    measures = dict(result.measures)
    for outcome in asked:
        if (value := outcome.of_run(result.traces)) is not None:
            measures[outcome.name] = value
    line = {
        "format": 3 if traces.keys() - {*BAND_KEYS} else 2 if traces else 1,
        "hash": hash_of(public_config(changing)),
        "name": result.name,
        "config": public_config(changing),
        "other": public_config({key: value for key, value in history.config.items() if key not in changing}),
        "rows": {
            key: [row.get(key) for row in history.rows] for key in CURVES if any(key in row for row in history.rows)
        },
        "measures": measures,
        "summary": public(finite_or_none(history.summary)),
        "confusion": history.confusion,
        "classes": history.classes,
        "correct": None if history.correct is None else pack_bits(history.correct.tolist()),
        "provenance": public_provenance(result.provenance),
        "notes": [[kind, public(message)] for kind, message in result.notes],
        **({"traces": traces} if traces else {}),
    }
    text = json.dumps(line, separators=(",", ":"), allow_nan=False)
    return Entry(text, line["hash"], result)


def read_entry(text: str, archive: Path) -> Entry:
    """Return the run of a line. Raises ValueError with what is wrong with it, in a few words."""
    try:
        content = strictly(text)
    except ValueError as error:
        said = str(error) if str(error).endswith("is not JSON") else f"not JSON ({error})"
        raise ValueError(said) from error
    if not isinstance(content, dict) or "format" not in content:
        raise ValueError("not a run of an archive, because it has no format")
    if content["format"] not in FORMATS:
        raise ValueError(f"format {content['format']!r}: this trainer reads formats {FORMATS[0]} to {FORMATS[-1]}")
    try:
        line = _Line.model_validate(content)
    except ValidationError as error:
        raise ValueError(_why(error)) from error
    if (found := hash_of(line.config)) != line.hash:
        raise ValueError(f"hash: {line.hash} does not fit its config, whose hash is {found}")
    rows = _rows(line.rows)
    if odd := next(oddities(line.config, rows, line.summary), None):
        raise ValueError(odd)
    config = {**line.config, **line.other}
    try:
        correct = None if line.correct is None else unpack_bits(line.correct)
    except ValueError as error:
        raise ValueError(f"correct: {error}") from error
    history = History(archive / line.name, config, rows, line.summary, line.confusion, line.classes, correct)
    notes = tuple(map(_note, line.notes))
    return Entry(text, line.hash, Result(history, line.measures, line.provenance, notes, _traces(line.traces)))


def _traces(texts: Mapping[str, TraceText]) -> dict[str, Trace]:
    found: dict[str, Trace] = {}
    for key, text in texts.items():
        if key not in TRACED:
            raise ValueError(f"traces: {key}: format {FORMATS[-1]} has no such key")
        try:
            found[key] = unpack_trace(text)
        except ValueError as error:
            raise ValueError(f"traces: {key}: {error}") from None
    return found


def _rows(columns: Mapping[str, list[int | float | None]]) -> list[dict[str, Any]]:
    lengths = {key: len(column) for key, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"rows: columns of different lengths: {lengths}")
    count = next(iter(lengths.values()), 0)
    rows = [{key: column[place] for key, column in columns.items()} for place in range(count)]
    return [{key: value for key, value in row.items() if value is not None} for row in rows]


def _note(note: list[str]) -> Note:
    match note:
        case ["unreadable" | "truncated" as kind, message]:
            return kind, message
        case _:
            raise ValueError(f"notes: {note!r} is not a kind and a message")


def _why(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    key = ".".join(map(str, first["loc"]))
    match first["type"]:
        case "missing":
            return f"{key}: missing"
        case "extra_forbidden":
            return f"{key}: format {FORMATS[-1]} has no such key"
        case _:
            return f"{key}: {first['msg'][:1].lower()}{first['msg'][1:]}, and not {first['input']!r:.60}"
