"""`python -m pretend.controller SWEEP RUNS JOBS`, and PRETEND_STORAGE: the local engine over pretended training.

Points are not resolved to configs, which would take torch; everything else is the real thing.
"""

import os
import sys
from pathlib import Path

from pretend import train
from trainer.sweep import child
from trainer.sweep.engine import Engine, Watch
from trainer.sweep.file import read_sweep
from trainer.sweep.ledger import Ledger
from trainer.sweep.order import Plan, ordered
from trainer.sweep.points import Checked, Entry, Point, points_of
from trainer.sweep.status import Progress

TESTS = Path(__file__).parents[1]


def run(
    path: Path,
    runs: Path,
    *,
    jobs: int = 1,
    storage: str | None = None,
    retry: bool = False,
    watch: Watch = lambda _: None,
    plan: Plan | None = None,
) -> tuple[Progress, int | None]:
    sweep = read_sweep(path)
    child.warm_up(["pretend.train"])

    def entry_of(point: Point) -> Entry:
        return Entry(point, point.slug(sweep.varied), "0")

    checked = Checked(sweep, tuple(map(entry_of, points_of(sweep))), ())
    folder = runs / sweep.name
    with Ledger(sweep, folder, storage, overrides=[]) as ledger:
        engine = Engine(
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
        )
        return engine.run(retry=retry)


if __name__ == "__main__":
    progress, signal = run(
        Path(sys.argv[1]), Path(sys.argv[2]), jobs=int(sys.argv[3]), storage=os.environ.get("PRETEND_STORAGE")
    )
    sys.exit(128 + signal if signal else 0 if progress.complete else 1)
