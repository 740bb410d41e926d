"""A sweep without a server: its folder, its ledger, and the engine.

`RUNS/NAME/` contains NAME.yaml (the file as it was last run), ledger.db, and a run folder for each point.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from trainer.files import disk_errors, write_whole
from trainer.sweep.check import check, entry_of
from trainer.sweep.child import warm_up
from trainer.sweep.engine import Engine, Watch, progress_of
from trainer.sweep.file import Sweep, read_sweep, with_overrides
from trainer.sweep.have import runs_in
from trainer.sweep.ledger import Ledger, overrides_begun_with
from trainer.sweep.points import Checked
from trainer.sweep.status import Progress


def run_sweep(
    path: Path,
    overrides: Sequence[str],
    *,
    runs: Path,
    storage: str | None,
    devices: Sequence[str],
    jobs: int,
    retry: bool,
    watch: Watch,
    have: Sequence[Path] = (),
    warn: Callable[[Checked], None] = lambda _: None,
) -> tuple[Progress, int | None]:
    """Run the rest of a sweep: what is neither done here nor in the archives `have`, which the ledger remembers.

    Return (progress, the signal that ended it). Raises SweepError before anything starts if a point is impossible, and
    ArchiveError for a damaged archive.
    """
    sweep = with_overrides(read_sweep(path), overrides)
    checked = check(sweep)
    warm_up()  # after the check, so that a mistake does not wait for torch
    warn(checked)
    had = runs_in(have, checked)
    folder = runs / sweep.name
    with disk_errors(folder, "cannot be made"):
        folder.mkdir(parents=True, exist_ok=True)
    with Ledger(sweep, folder, storage, overrides=overrides) as ledger:
        if path.resolve() != (kept := folder / f"{sweep.name}.yaml").resolve():
            write_whole(kept, path.read_bytes())
        ledger.release_lost()
        ledger.take(had)
        engine = Engine(
            checked,
            ledger,
            folder,
            entry_of=lambda point: entry_of(point, sweep),
            jobs=jobs,
            devices=devices,
            env=_env(sweep, jobs),
            watch=watch,
        )
        return engine.run(retry=retry)


def overrides_of(path: Path, *, runs: Path, storage: str | None) -> list[str]:
    """Return the overrides that a sweep was begun with. Raises SweepError if it was not begun."""
    sweep = read_sweep(path)
    return overrides_begun_with(sweep, runs / sweep.name, storage)


def progress_here(path: Path, *, runs: Path, storage: str | None, have: Sequence[Path] = ()) -> Progress:
    """Return the progress of a sweep from its ledger, and from archives.

    Raises SweepError if it was not begun and no archive is given.
    """
    if have and storage is None and not (runs / path.stem / "ledger.db").exists():
        found = check(read_sweep(path))
        return progress_of(found, [had.attempt for had in runs_in(have, found)])
    overrides = overrides_of(path, runs=runs, storage=storage)
    found = check(with_overrides(read_sweep(path), overrides))
    with Ledger(found.sweep, runs / found.sweep.name, storage, overrides=overrides) as ledger:
        attempts = ledger.attempts()
    known = {attempt.point.key for attempt in attempts if attempt.state in ("finished", "stopped")}
    return progress_of(found, attempts + [h.attempt for h in runs_in(have, found) if h.entry.point.key not in known])


def sweeps_here(runs: Path) -> list[Path]:
    """Return the sweep files of all sweeps that were begun in a folder."""
    return sorted(path for path in runs.glob("*/*.yaml") if path.stem == path.parent.name)


def _env(sweep: Sweep, jobs: int) -> dict[str, str]:
    """Return the environment of every child.

    Its W&B runs are recorded offline, as a group in the sweep's project. Children share the processor's cores.
    """
    file = sweep.file
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    asked = {
        "WANDB_RUN_GROUP": file.name or sweep.name,
        "WANDB_PROJECT": file.project,
        "WANDB_ENTITY": file.entity,
        "WANDB_MODE": "offline",
        "OMP_NUM_THREADS": str(max(1, cores // jobs)) if jobs > 1 else None,
    }
    return {name: value for name, value in asked.items() if value is not None and name not in os.environ}
