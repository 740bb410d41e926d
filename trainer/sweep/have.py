"""Runs of archives that stand for points of a sweep: `trainer sweep run FILE --have ARCHIVE`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from trainer.config.load import as_stored, validate
from trainer.config.overrides import nest
from trainer.errors import ConfigError, SweepError
from trainer.runs.archive import SUFFIX, is_archive, read_archive
from trainer.runs.archive_lines import Entry as Line
from trainer.runs.folder import config_hash
from trainer.runs.history import is_finite
from trainer.sweep.points import Checked, Entry
from trainer.sweep.status import Attempt, State


@dataclass(frozen=True)
class Had:
    """A point that need not be run, because an archive has its run."""

    entry: Entry
    attempt: Attempt
    curve: Mapping[int, float]  # the sweep's metric after each epoch that has it


@dataclass(frozen=True)
class Packed:
    """Points of a sweep that archives have runs of."""

    had: tuple[Had, ...]
    unmeasured: tuple[Entry, ...]  # points with runs, none of which measured the sweep's outcome


def archives_of(paths: Sequence[Path]) -> list[Path]:
    """Return archives as they are, and all archives in each folder. Raises SweepError for a folder without any."""
    found: list[Path] = []
    for path in paths:
        inside = sorted(path.glob(f"*{SUFFIX}")) if path.is_dir() else [path]
        if not inside:
            raise SweepError(f"--have: {path}: no archive in it; they are called NAME{SUFFIX}")
        found += inside
    return found


def runs_in(archives: Sequence[Path], checked: Checked) -> Packed:
    """Return the points of a sweep that archives have: runs of the same config and seed that ended.

    Where several are of one point, a finished one counts, then the first by name and start. A run that was stopped
    early counts in a sweep that stops runs early. A run that trained without the probes of the sweep's outcome does
    not count. Raises ArchiveError for a damaged archive, SweepError for a search whose points follow from its own runs.
    """
    sweep = checked.sweep
    if archives and sweep.proposes:
        raise SweepError(
            f"{sweep.path}: --have: this {sweep.file.method} search proposes its points as it runs; it is for grid and"
            " for random without `# Seeds:`"
        )
    if foreign := [path for path in archives if not is_archive(path)]:
        raise SweepError(*(f"--have: {path}: an archive is called NAME.jsonl.gz" for path in foreign))
    counts: tuple[State, ...] = ("finished", "diverged", *(("stopped",) if sweep.file.early_terminate else ()))
    packed = [(path, run) for path in archives for run in read_archive(path).entries]
    packed = [(path, run) for path, run in packed if run.result.status in counts]
    packed.sort(key=lambda each: (each[1].result.status != "finished", each[1].result.name, each[1].result.started))
    by_hash: dict[str, tuple[Path, Line]] = {}
    unmeasured: set[str] = set()
    for path, run in packed:
        if run.result.answers(sweep.header.outcome):
            by_hash.setdefault(_hash_now(run), (path, run))
        else:
            unmeasured.add(_hash_now(run))
    metric = sweep.file.metric.name if sweep.file.metric else None
    return Packed(
        tuple(_had(entry, *by_hash[entry.config], metric) for entry in checked.entries if entry.config in by_hash),
        tuple(entry for entry in checked.entries if entry.config in unmeasured - by_hash.keys()),
    )


def _had(entry: Entry, path: Path, run: Line, metric: str | None) -> Had:
    result = run.result
    state: State = (
        "stopped" if result.status == "stopped" else "diverged" if result.status == "diverged" else "finished"
    )
    value = result.history.summary.get(metric) if metric else None
    curve = {int(row["epoch"]): row[metric] for row in result.history.having(metric)} if metric else {}
    message = str(result.history.summary.get("reason") or "") if state == "diverged" else ""
    where = f"{path}/{result.name}"
    attempt = Attempt(entry.point, state, value if is_finite(value) else None, where, message, str(path))
    return Had(entry, attempt, curve)


def _hash_now(run: Line) -> str:
    """Return the hash of a run's config by the keys that this trainer knows, which may be more than when it ran."""
    try:
        return config_hash(validate(as_stored(nest(run.result.config))))
    except ConfigError:  # no point of today has such a config
        return run.hash
