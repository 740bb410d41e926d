"""A sweep with no server: its folder, its ledger, and the engine over them.

`RUNS/NAME/` holds NAME.yaml (the file as it was last run), ledger.db, and a run folder for each point.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from trainer.files import disk_errors, write_whole
from trainer.sweep.check import check, entry_of
from trainer.sweep.child import warm_up
from trainer.sweep.engine import Engine, Watch, progress_of
from trainer.sweep.file import Sweep, read_sweep, with_words
from trainer.sweep.ledger import Ledger, overrides_begun_with
from trainer.sweep.points import Checked
from trainer.sweep.status import Progress


def run_sweep(
    path: Path,
    words: Sequence[str],
    *,
    runs: Path,
    storage: str | None,
    devices: Sequence[str],
    jobs: int,
    retry: bool,
    watch: Watch,
    warn: Callable[[Checked], None] = lambda _: None,
) -> tuple[Progress, int | None]:
    """Run what is left of a sweep: (how far it came, the signal that ended it). Raises SweepError before anything
    starts where a point is impossible."""
    sweep = with_words(read_sweep(path), words)
    warm_up()  # it takes as long as the check of the points, and they do not need each other
    found = check(sweep)
    warn(found)
    folder = runs / sweep.name
    with disk_errors(folder, "cannot be made"):
        folder.mkdir(parents=True, exist_ok=True)
    with Ledger(sweep, folder, storage, words=words) as ledger:
        if path.resolve() != (kept := folder / f"{sweep.name}.yaml").resolve():
            write_whole(kept, path.read_bytes())
        engine = Engine(
            found,
            ledger,
            folder,
            entry_of=lambda point: entry_of(point, sweep),
            jobs=jobs,
            devices=devices,
            env=_env(sweep, jobs),
            watch=watch,
        )
        return engine.run(retry=retry)


def words_of(path: Path, *, runs: Path, storage: str | None) -> list[str]:
    """The words that a sweep was begun with. Raises SweepError where it was not begun."""
    sweep = read_sweep(path)
    return overrides_begun_with(sweep, runs / sweep.name, storage)


def progress_here(path: Path, *, runs: Path, storage: str | None) -> Progress:
    """How far a sweep has come, by its ledger. Raises SweepError where it was not begun."""
    words = words_of(path, runs=runs, storage=storage)
    found = check(with_words(read_sweep(path), words))
    with Ledger(found.sweep, runs / found.sweep.name, storage, words=words) as ledger:
        return progress_of(found, ledger.attempts())


def sweeps_here(runs: Path) -> list[Path]:
    """The sweep files of all sweeps that were begun under a folder."""
    return sorted(path for path in runs.glob("*/*.yaml") if path.stem == path.parent.name)


def _env(sweep: Sweep, jobs: int) -> dict[str, str]:
    """For every child: its W&B runs are recorded offline, as a group of their own in the sweep's project, and children
    that share the processor's cores do not each take all of them."""
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
