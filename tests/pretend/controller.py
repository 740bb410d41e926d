"""The local engine over pretended training, in this process or in one of its own.

Points are not resolved to configs, which would take torch; everything else is the real thing. It looks at its children
more often.
"""

import contextlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from unittest.mock import patch

from pretend import server, train
from trainer.sweep import child, engine
from trainer.sweep.engine import Cluster, Engine, Watch
from trainer.sweep.file import read_sweep
from trainer.sweep.ledger import Ledger
from trainer.sweep.order import Plan, ordered
from trainer.sweep.points import Checked, Entry, Point, points_of
from trainer.sweep.status import Progress


def run(
    path: Path,
    runs: Path,
    *,
    jobs: int = 1,
    storage: str | None = None,
    retry: bool = False,
    watch: Watch = lambda _: None,
    plan: Plan | None = None,
    cluster: Cluster | None = None,
) -> tuple[Progress, int | None]:
    sweep = read_sweep(path)
    server.ready()

    def entry_of(point: Point) -> Entry:
        return Entry(point, point.slug(sweep.varied), "0")

    checked = Checked(sweep, tuple(map(entry_of, points_of(sweep))), ())
    folder = runs / sweep.name
    with Ledger(sweep, folder, storage, overrides=[]) as ledger, patch.object(engine, "_POLL_SECONDS", 0.02):
        return Engine(
            checked,
            ledger,
            folder,
            entry_of=entry_of,
            jobs=jobs,
            devices=["auto"],
            env={},
            watch=watch,
            target=train.main,
            wanted=ordered(checked.entries, plan or Plan(), sweep),
            cluster=cluster,
        ).run(retry=retry)


def main(arguments: Sequence[str]) -> None:
    """Run SWEEP in RUNS with so many JOBS, PRETEND_STORAGE as its storage, and on the Ray cluster PRETEND_RAY."""
    path, runs, jobs = arguments
    with contextlib.ExitStack() as stack:
        cluster = None
        if address := os.environ.get("PRETEND_RAY"):
            from pretend.ray import cluster_at

            cluster = stack.enter_context(cluster_at(address, Path(runs)))
        else:
            child.warm_up(["pretend.train"])  # a server of its own, which ends with it
        storage = os.environ.get("PRETEND_STORAGE")
        progress, signal = run(Path(path), Path(runs), jobs=int(jobs), storage=storage, cluster=cluster)
    sys.exit(128 + signal if signal else 0 if progress.complete else 1)
