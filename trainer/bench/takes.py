"""Runs that count for `trainer bench accuracy`: those of its folder, and those of archives that stand for a seed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from trainer.bench.machines import Machine, machine_of
from trainer.config import RunConfig
from trainer.errors import UserError
from trainer.runs.archive import conflict_text, conflicts
from trainer.runs.archive_lines import Entry, entry_of
from trainer.runs.charged import charged_seconds
from trainer.runs.folder import config_hash, object_of, read_config, read_summary, same_run
from trainer.runs.have import archives_of, runs_in_archives
from trainer.runs.history import is_finite
from trainer.runs.results import read_result
from trainer.training.run import resume_run, start_run

Note = Callable[[str], object]


@dataclass(frozen=True)
class Take:
    """One run. A peer does not tell what it took to build and compile."""

    seed: int  # of a peer, which draws its own, that of our run beside it
    accuracy: float  # a fraction
    seconds: float  # that are charged
    evaluation: float  # seconds, charged or not
    build: float | None = None  # seconds, free
    compile: float | None = None  # seconds, free
    machine: Machine | None = None  # None if it is not known, or if the run moved: its seconds then count nowhere
    archive: str | None = None  # the name of the archive that it was taken from


def seeded(config: RunConfig, seed: int) -> RunConfig:
    return config.model_copy(update={"seed": seed})


def folder_of(folder: Path, seed: int) -> Path:
    return folder / f"seed-{seed}"


def has_finished(folder: Path, seed: int) -> bool:
    """Return whether a folder has the finished run of a seed. Raises UserError for foreign files."""
    return read_summary(folder_of(folder, seed)).get("status") == "finished"


def run_of(config: RunConfig, folder: Path, charge_evaluation: bool) -> Take:
    """Train the seed of a config, go on with it, or take it if it has ended."""
    path = folder_of(folder, config.seed)
    if not (path / "config.yaml").exists():
        run = start_run(config, runs=folder, name=path.name)
    else:
        same_run(read_config(path), config.model_dump(mode="json"))
        run = resume_run(path)  # which only reads one that has finished
    if run.status != "finished":
        raise UserError(f"bench accuracy: {path}: the run is {run.status}; the same command goes on with it")
    take = _take(config.seed, run.summary, object_of(path / "run.json"), charge_evaluation)
    if not take:
        raise UserError(f"bench accuracy: {path}: its trainer was older and charged building; give another folder")
    return take


def archived(
    config: RunConfig,
    seeds: Sequence[int],
    have: Sequence[Path],
    *,
    folder: Path,
    precision: str,
    charge_evaluation: bool,
    note: Note,
) -> dict[int, Take]:
    """Return the runs of archives that stand for these seeds of a config.

    A run that `folder` has counts before that of an archive, and is not among them. `note` gets a line for what does
    not count, and for each seed with two results. Raises ArchiveError for a damaged archive, UserError for a run that
    diverged and where all runs have another number format.
    """
    archives = archives_of(have)
    asked = {config_hash(seeded(config, seed)): seed for seed in seeds}
    packed = [(path, run) for path, run in runs_in_archives(archives, ("finished", "diverged")) if run.hash in asked]
    if have and not packed:
        note(f"--have: no run of it has this config and a seed from {min(seeds)} to {max(seeds)}")
    counted = _of_one_format(packed, precision, note)
    for path, run in counted:
        if run.result.status == "diverged":
            raise UserError(f"--have: {path}/{run.result.name}: the run diverged, and the protocol leaves out no seed")
    here = [_entry(seeded(config, seed), folder) for seed in seeds if has_finished(folder, seed)] if counted else []
    for each, first in conflicts([*here, *(run for _, run in counted)]):
        note(conflict_text(each, first))
    found: dict[int, Take] = {}
    for path, run in counted:
        if (seed := asked[run.hash]) not in found and not has_finished(folder, seed):
            found[seed] = _archived_take(seed, path, run, charge_evaluation, note)
    return found


def _of_one_format(packed: Sequence[tuple[Path, Entry]], precision: str, note: Note) -> list[tuple[Path, Entry]]:
    """Return the runs in the number format of this measurement. Others are another measurement."""
    formats = [str(run.result.provenance.get("precision") or "a format that it does not say") for _, run in packed]
    counted = [each for each, found in zip(packed, formats, strict=True) if found == precision]
    others = [found for found in formats if found != precision]
    if others:
        count = "1 run of it is" if len(others) == 1 else f"{len(others)} runs of it are"
        said = f"--have: {count} in {' and '.join(dict.fromkeys(others))}, and this machine computes in {precision}"
        if not counted:
            raise UserError(f"{said}, which is another measurement; leave --have out, or go on where it was begun")
        note(f"{said}: not counted")
    return counted


def _archived_take(seed: int, path: Path, run: Entry, charge_evaluation: bool, note: Note) -> Take:
    result = run.result
    take = _take(seed, result.history.summary, result.provenance, charge_evaluation)
    where = f"--have: {path}/{result.name}"
    if not take:
        raise UserError(f"{where}: without an accuracy or seconds of building, so its trainer was older; leave it out")
    if not take.machine:
        why = "it moved between machines" if result.provenance.get("resumed") else "it does not say on which machine"
        note(f"{where}: {why}, so its accuracy counts and its seconds do not")
    return replace(take, archive=path.name)


def _entry(config: RunConfig, folder: Path) -> Entry:
    return replace(entry_of(read_result(folder_of(folder, config.seed))), hash=config_hash(config))


def _take(seed: int, summary: Mapping[str, Any], run: Mapping[str, Any], charge_evaluation: bool) -> Take | None:
    """Return a run by its summary and its run.json. None for a trainer that charged building."""
    seconds = charged_seconds(summary, evaluation=charge_evaluation)
    accuracy, evaluation, build, compiling = (
        summary.get(key)
        for key in ("headline/accuracy", "time/evaluate_seconds", "time/build_seconds", "time/compile_seconds")
    )
    if seconds is None or not (is_finite(accuracy) and is_finite(evaluation) and is_finite(build)):
        return None
    return Take(
        seed,
        accuracy,
        seconds,
        evaluation,
        build=build,
        compile=compiling if is_finite(compiling) else None,
        machine=machine_of(run),
    )
