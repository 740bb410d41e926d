"""Machines and versions of code that a table's runs came from."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from trainer.report.pages.grids import Grid
from trainer.report.tables import Table
from trainer.text import NONE, number

_UNKNOWN = "not recorded"


def provenance(table: Table) -> Grid:
    """Return the machines and versions of code that the runs came from, with their counts."""
    runs = [run.provenance for run in table.runs]
    counted = sum(len(configuration.runs) for configuration in table.configurations)
    seconds = sum(run.values.get("seconds_total", 0.0) for run in table.runs)
    dates = sorted(str(date) for origin in runs for key in ("started", "ended") if (date := origin.get(key)))
    rows: list[tuple[str, str]] = [
        ("runs", f"{len(table.runs)}, of which {counted} count"),
        ("training time, all runs", number(seconds / 3600, unit=" h")),
        ("first and last date", f"{dates[0]}, {dates[-1]}" if dates else NONE),
        ("revision", _counted(_revision(origin.get("git")) for origin in runs)),
        ("device", _counted(str(origin.get("device", _UNKNOWN)) for origin in runs)),
        ("precision", _counted(str(origin.get("precision", _UNKNOWN)) for origin in runs)),
        ("system", _counted(_within(origin.get("machine"), "system") for origin in runs)),
        ("Python", _counted(str(origin.get("python", _UNKNOWN)) for origin in runs)),
    ]
    packages = list(dict.fromkeys(name for origin in runs for name in _mapping(origin.get("versions"))))
    rows += [(name, _counted(_within(origin.get("versions"), name) for origin in runs)) for name in packages]
    return Grid("Code and machines of the runs", ("property", "value"), tuple(rows), (0, 1))


def _counted(values: Iterable[str]) -> str:
    """Return `a` if all values are a, or else a list such as `a (3), b (1)`."""
    counts = Counter(values)
    return next(iter(counts), NONE) if len(counts) < 2 else ", ".join(f"{v} ({n})" for v, n in counts.most_common())


def _revision(git: Any) -> str:
    revision = _within(git, "revision")[:12]
    return f"{revision} with uncommitted changes" if _mapping(git).get("dirty") else revision


def _within(content: Any, key: str) -> str:
    return str(_mapping(content).get(key, _UNKNOWN))


def _mapping(content: Any) -> dict[str, Any]:
    return content if isinstance(content, dict) else {}
