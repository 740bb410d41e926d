"""Machines and versions of code that a table's runs came from."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from trainer.report.pages.grids import Grid
from trainer.report.table import Table
from trainer.runs.provenance import segments_of
from trainer.text import NONE, number

UNKNOWN = "not recorded"
ALWAYS = ("revision", "device", "precision", "system", "Python")
"""Parts of an origin that every trainer has recorded."""


def provenance(table: Table) -> Grid:
    """Return the machines and versions of code that the runs came from, with their counts."""
    runs = [run.provenance for run in table.runs]
    origins = [origin_of(run) for run in runs]
    counted = sum(len(each.runs) for each in table.configurations) - sum(table.unmeasured.values())
    seconds = sum(run.values.get("seconds_total", 0.0) for run in table.runs)
    dates = sorted(str(date) for origin in runs for key in ("started", "ended") if (date := origin.get(key)))
    rows: list[tuple[str, str]] = [
        ("runs", f"{len(table.runs)}, of which {counted} count"),
        ("training time, all runs", number(seconds / 3600, unit=" h")),
        ("first and last date", f"{dates[0]}, {dates[-1]}" if dates else NONE),
    ]
    names = list(dict.fromkeys([*ALWAYS, *(name for origin in origins for name in origin)]))
    rows += [(name, _counted(origin.get(name, UNKNOWN) for origin in origins)) for name in names]
    return Grid("Code and machines of the runs", ("property", "value"), tuple(rows), (0, 1))


def origin_of(provenance: Mapping[str, Any]) -> dict[str, str]:
    """Return what a run was computed with: revision, device, precision, processor, system, Python and packages.

    Of a run that was resumed with another, both are named: `2.14.0, then 2.15.0`.
    """
    segments = [*map(_of_segment, segments_of(provenance))]
    names = dict.fromkeys(name for segment in segments for name in segment)
    return {name: ", then ".join(dict.fromkeys(each[name] for each in segments if name in each)) for name in names}


def _of_segment(provenance: Mapping[str, Any]) -> dict[str, str]:
    git, versions, machine = provenance.get("git"), provenance.get("versions"), _mapping(provenance.get("machine"))
    device, processor = provenance.get("device"), machine.get("processor")
    found = {
        "revision": _revision(git) if isinstance(git, Mapping) else None,
        "device": device,
        "precision": provenance.get("precision"),
        "processor": None if str(device).startswith(f"{processor}, ") else processor,  # a CPU is named once
        "cores": machine.get("cores"),
        "capability": machine.get("capability"),
        "system": machine.get("system"),
        "Python": provenance.get("python"),
        **_mapping(versions),
    }
    return {name: str(value) for name, value in found.items() if value is not None}


def _counted(values: Iterable[str]) -> str:
    """Return `a` if all values are a, or else a list such as `a (3), b (1)`."""
    counts = Counter(values)
    return next(iter(counts), NONE) if len(counts) < 2 else ", ".join(f"{v} ({n})" for v, n in counts.most_common())


def _revision(git: Mapping[str, Any]) -> str:
    revision = str(git.get("revision", UNKNOWN))[:12]
    return f"{revision} with uncommitted changes" if git.get("dirty") else revision


def _mapping(content: Any) -> Mapping[str, Any]:
    return content if isinstance(content, Mapping) else {}
