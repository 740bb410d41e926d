"""A sweep without a server: its folder, its ledger, and the engine.

`RUNS/NAME/` contains NAME.yaml (the file as it was last run), ledger.db, a run folder for each point, the texts of
own parts in `own/`, and in NAME.jsonl.gz the runs that `--have` brought. `wandb/` has links to W&B's files of all runs.
"""

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from trainer.config.overrides import as_typed
from trainer.data.shared import shared_images
from trainer.errors import SweepError
from trainer.files import make_folder, write_whole
from trainer.runs.groups import SEED
from trainer.runs.have import archives_of
from trainer.sinks.packages import refuse_missing
from trainer.sweep.begun import begun_with
from trainer.sweep.check import check, entry_of, resolve
from trainer.sweep.child import THREADS
from trainer.sweep.engine import Cluster, Engine, Watch, progress_of
from trainer.sweep.file import Sweep, read_sweep, with_overrides
from trainer.sweep.have import Packed, keep, runs_in
from trainer.sweep.header import with_added, with_until
from trainer.sweep.ledger import Ledger
from trainer.sweep.order import Plan, ordered, with_seeds
from trainer.sweep.own_parts import held, keep_texts
from trainer.sweep.points import Checked, Entry, points_of, sample
from trainer.sweep.status import Progress, State
from trainer.sweep.storage import without_password
from trainer.sweep.together import linking
from trainer.sweep.trials import is_open
from trainer.threads import cores


@dataclass(frozen=True)
class LocalSweep:
    """A checked sweep, with what is done of it here and in archives."""

    checked: Checked
    entries: tuple[Entry, ...]  # in the order in which they run; none of a Bayesian search
    overrides: tuple[str, ...]  # the same at every point
    folder: Path  # of its runs
    storage: str | None
    packed: Packed
    seeds: tuple[int, ...] = ()  # that were asked for besides the file's
    part: bool = False  # of the configurations alone was asked for
    cluster: Cluster | None = None  # runs them in the place of this machine

    @property
    def name(self) -> str:
        return self.checked.sweep.name

    def run(
        self,
        *,
        wanted: Sequence[Entry] | None = None,
        deadline: float = math.inf,
        jobs: int,
        devices: Sequence[str],
        retry: bool = False,
        watch: Watch,
    ) -> tuple[Progress, int | None]:
        """Run what is not done of `wanted`, or of all points. Return (progress, the signal that ended it).

        At `deadline`, a value of `time.monotonic`, the runs save and end. Raises SweepError if an own part has changed
        since the sweep began, and ConfigError if the package of a sink is missing here, before every run fails for it.
        """
        sweep = self.checked.sweep
        at_once = jobs > 1 and self.cluster is None and {*devices} <= {"auto", "cpu"}
        with self._begun() as ledger, shared_images() if at_once else nullcontext(dict[str, str]()) as shared:
            engine = Engine(
                self.checked,
                ledger,
                self.folder,
                entry_of=lambda point: entry_of(point, sweep),
                jobs=jobs,
                devices=devices,
                env={**env_of(sweep, jobs), **shared},
                watch=linking(self.folder, watch),
                wanted=self.entries if wanted is None else wanted,
                deadline=deadline,
                cluster=self.cluster,
            )
            return engine.run(retry=retry)

    def begin(self) -> None:
        """Write down what is known before a run: the file, its seeds, and what archives have, also if it is all.

        Raises SweepError if an own part has changed since the sweep began.
        """
        with self._begun():
            pass

    @contextmanager
    def _begun(self) -> Iterator[Ledger]:
        sweep = self.checked.sweep
        self._prepare()
        keep_texts(sweep, self.folder)
        with self._ledger() as ledger:
            ledger.note_seeds(self.seeds or (() if self.part else sweep.added_seeds), of_all=not self.part)
            kept = self.folder / f"{sweep.name}.yaml"
            until = ledger.until or str(sweep.header.until or "")
            of_all = ledger.added
            added = [seed for seed in sweep.added_seeds if seed in of_all]
            text = with_until(with_added(sweep.text, added), until).encode()  # a report has no ledger
            if not kept.exists() or kept.read_bytes() != text:
                write_whole(kept, text)
            ledger.release_lost()
            keep(self.packed.runs, sweep, self.folder)  # before the ledger knows of them, which a live page watches
            ledger.take(self.packed.had)
            yield ledger

    def progress(self) -> Progress:
        """Return the progress by the ledger, if there is one, and by the archives."""
        with self._ledger_if_begun() as ledger:
            attempts = ledger.attempts() if ledger else []
        states: dict[str, list[State]] = {}
        for attempt in attempts:
            states.setdefault(attempt.point.key, []).append(attempt.state)
        archived = [
            had.attempt for had in self.packed.had if is_open(states.get(had.entry.point.key, ()), had.attempt.state)
        ]
        return progress_of(self.checked, [*attempts, *archived])

    def state(self) -> dict[str, State]:
        """Return the state of each point that has an attempt, by its key."""
        return {status.point.key: status.state for status in self.progress().points if status.attempts}

    def seconds(self) -> dict[str, float]:
        """Return the wall time in seconds of each point that finished here in one attempt, by its key."""
        with self._ledger_if_begun() as ledger:
            return ledger.seconds() if ledger else {}

    def note_design(self, design: Mapping[str, Any], said: str) -> None:
        """Remember the design of a sequential sweep, also as its file says it.

        Raises SweepError if it was begun with another one.
        """
        self._prepare()
        with self._ledger() as ledger:
            ledger.note_design(design, said)

    def left(self, progress: Progress) -> int:
        """Return the number of points that were to run, and have not ended."""
        keys = {entry.point.key for entry in self.entries}
        asked = [status for status in progress.points if not keys or status.point.key in keys]
        return sum(status.state in ("interrupted", "missing", "waiting") for status in asked)

    def _prepare(self) -> None:
        sweep = self.checked.sweep
        if self.cluster is None:
            refuse_missing(resolve((points_of(sweep) or sample(sweep, 1))[0], sweep).sink)
        make_folder(self.folder)

    def _ledger(self) -> Ledger:
        return Ledger(self.checked.sweep, self.folder, self.storage, overrides=self.overrides)

    def _ledger_if_begun(self) -> AbstractContextManager[Ledger | None]:
        begun = self.storage is not None or (self.folder / "ledger.db").exists()
        return self._ledger() if begun else nullcontext()


def open_sweep(
    path: Path,
    overrides: Sequence[str] = (),
    *,
    runs: Path,
    storage: str | None = None,
    have: Sequence[Path] = (),
    plan: Plan | None = None,
    as_begun: bool = False,
) -> LocalSweep:
    """Check a sweep and read the archives `have`, which the ledger remembers once it runs.

    `as_begun` checks it with the texts of own parts with which it began. Raises SweepError if a point is impossible,
    if the plan does not fit, or if its folder is that of a run, and ArchiveError for a damaged archive.
    """
    plan = plan or Plan()
    sweep = with_overrides(read_sweep(path), overrides)
    folder = runs / sweep.name
    if (folder / "config.yaml").is_file():  # a report would take it for that run
        raise SweepError(f"{folder} is the folder of a run; give --runs another folder, or the sweep another name")
    begun = begun_with(sweep, folder, storage)
    sweep = with_seeds(sweep, begun.seeds if begun else ())
    seeds = plan.seeds_for(sweep)
    sweep = held(with_seeds(sweep, seeds), folder, as_begun=as_begun)
    checked = check(sweep)
    packed = runs_in(archives_of(have), checked)
    if begun and begun.decided is not None and not plan.count:  # what the design did not ask for is not due
        there = begun.decided | {had.entry.point.key for had in packed.had}
        asked = [each for each in checked.entries if each.point.key in there or each.point.values.get(SEED) in seeds]
        checked = replace(checked, entries=tuple(asked))
    entries = ordered(checked.entries, plan, sweep)
    return LocalSweep(checked, entries, tuple(overrides), folder, storage, packed, seeds, bool(plan.only))


def overrides_of(path: Path, *, runs: Path, storage: str | None) -> list[str]:
    """Return the overrides that a sweep was begun with. Raises SweepError if it was not begun."""
    sweep = read_sweep(path)
    folder = runs / sweep.name
    if begun := begun_with(sweep, folder, storage):
        return list(begun.overrides)
    begin = f"begin it by `{as_typed('trainer', 'sweep', 'run', path)}`"
    if storage is None and (folder / f"{sweep.name}.yaml").exists():
        raise SweepError(f"{folder}: no ledger is here; give the --storage that it was run with, or {begin}")
    raise SweepError(f"{without_password(storage) if storage else folder}: no sweep was begun here; {begin}")


def progress_here(path: Path, *, runs: Path, storage: str | None, have: Sequence[Path] = ()) -> Progress:
    """Return the progress of a sweep from its ledger, and from archives.

    Raises SweepError if it was not begun and no archive is given.
    """
    if have and begun_with(read_sweep(path), runs / path.stem, storage) is None:
        overrides = []
    else:
        overrides = overrides_of(path, runs=runs, storage=storage)
    return open_sweep(path, overrides, runs=runs, storage=storage, have=have, as_begun=True).progress()


def sweeps_here(runs: Path) -> list[Path]:
    """Return the sweep files of all sweeps that were begun in a folder."""
    return sorted(path for path in runs.glob("*/*.yaml") if path.stem == path.parent.name)


def env_of(sweep: Sweep, jobs: int) -> dict[str, str]:
    """Return the environment of every child.

    Its W&B runs are recorded offline, as a group in the sweep's project. Children share the processor's cores.
    """
    file = sweep.file
    asked = {
        "WANDB_RUN_GROUP": file.name or sweep.name,
        "WANDB_PROJECT": file.project,
        "WANDB_ENTITY": file.entity,
        "WANDB_MODE": "offline",
        **({name: str(max(1, cores() // jobs)) for name in THREADS} if jobs > 1 else {}),
    }
    return {name: value for name, value in asked.items() if value is not None and name not in os.environ}
