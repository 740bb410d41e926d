"""Runs of archives that stand for points of a sweep: `trainer sweep run FILE --have ARCHIVE`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from trainer.errors import SweepError
from trainer.files import alone_in
from trainer.runs.archive import Archive, merged, read_archive, write_archive
from trainer.runs.archive_lines import Entry as Line
from trainer.runs.archive_lines import read_entry
from trainer.runs.chance import tests_of
from trainer.runs.have import brought_into, runs_in_archives
from trainer.runs.history import is_finite
from trainer.runs.private import public_sweep
from trainer.sweep.file import Sweep
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
    runs: tuple[Line, ...]  # those that count for these points
    unmeasured: tuple[Entry, ...]  # points with runs, none of which measured the sweep's outcome


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
    counts: tuple[State, ...] = ("finished", "diverged", *(("stopped",) if sweep.file.early_terminate else ()))
    by_hash: dict[str, tuple[Path, Line]] = {}
    unmeasured: set[str] = set()
    for path, run in runs_in_archives(archives, counts):
        if run.result.answers(sweep.header.outcome):
            by_hash.setdefault(run.hash, (path, run))
        else:
            unmeasured.add(run.hash)
    metric = sweep.file.metric.name if sweep.file.metric else None
    found = [(entry, *by_hash[entry.config]) for entry in checked.entries if entry.config in by_hash]
    return Packed(
        tuple(_had(*each, metric) for each in found),
        tuple(run for _, _, run in found),
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
    tests = tests_of(result.history)
    attempt = Attempt(entry.point, state, value if is_finite(value) else None, where, message, str(path), tests)
    return Had(entry, attempt, curve)


def keep(runs: Sequence[Line], sweep: Sweep, folder: Path) -> None:
    """Copy the runs into the sweep's folder: reports find them there, whatever the archives that have them are called.

    Raises ArchiveError for a damaged copy, DiskError.
    """
    if not runs:
        return
    path = brought_into(folder.resolve())
    with alone_in(folder):
        before = read_archive(path).entries if path.exists() else ()
        fresh = [read_entry(run.text, path) for run in runs]  # with the hash that the line has, and not today's
        text = public_sweep(sweep.text)
        write_archive(path, Archive(text, tuple(merged([*before, *fresh]))))
