"""Seconds to an accuracy: whole runs of a recipe with a seed each, in turns with a peer's, by the protocol of records.

docs/records.md has the protocol. Every run of ours is an ordinary run folder, and every run of a peer a file beside
them, so that others can check each number, and the same command goes on where it was broken off.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from trainer.bench.peers import Side
from trainer.bench.rounds import ratio, result, spread
from trainer.config import RunConfig
from trainer.errors import UserError
from trainer.files import make_folder, write_json
from trainer.runs.charged import charged_seconds
from trainer.runs.folder import read_config, same_run
from trainer.runs.provenance import machine
from trainer.statistics.describe import p_above
from trainer.text import spread as mean_and_spread
from trainer.training.device import choose_compute
from trainer.training.run import resume_run, start_run

LEVEL = 0.01  # of the one-sided test that the mean is above the target
PEER = "airbench"
_SAME = ("processor", "bfloat16", "cores", "device", "precision", "python", "versions")
"""Parts of a machine that have to be the same for seconds that may be compared."""
_OF_A_GPU = ("gpu", "cuda", "cudnn")
"""The same of a GPU. Older folders do not say them."""


@dataclass(frozen=True)
class Take:
    """One run. A peer does not tell what it took to build and compile."""

    seed: int  # of a peer, which draws its own, the number of the run
    accuracy: float  # a fraction
    seconds: float  # that are charged
    evaluation: float  # seconds, charged or not
    build: float | None = None  # seconds, free
    compile: float | None = None  # seconds, free


def bench_accuracy(
    config: RunConfig,
    *,
    name: str,
    target: float,
    runs: int,
    folder: Path,
    charge_evaluation: bool = False,
    against: Path | None = None,
) -> dict[str, Any]:
    """Train `runs` runs with the seeds from the config's on, or take those that `folder` has, and judge their mean.

    `target` is a fraction. `against` is a checkout of airbench, whose runs take turns with ours. Raises UserError for a
    folder of another config or machine, for a run that does not end, and for a peer whose code does not run here.
    """
    compute = choose_compute(config.train)
    _same_machine(folder, machine(compute.measured_on) | compute.description)
    ours: list[Take] = []
    theirs: list[Take] = []
    peer = _Peer(against, folder, config) if against else None
    try:
        for i in range(runs):
            turns = [lambda i=i: ours.append(_run(config, config.seed + i, folder, charge_evaluation))]
            if peer:
                turns.append(lambda i=i: theirs.append(peer.take(i, charge_evaluation)))
            for turn in turns if i % 2 == 0 else reversed(turns):
                turn()
    finally:
        if peer:
            peer.end()
    measured = {name: _row(ours)}
    if peer:
        measured[PEER] = _row(theirs)
        measured[name]["seconds to theirs, ratio"] = ratio([t.seconds for t in ours], [t.seconds for t in theirs])
    charged = "preparation, training and evaluation" if charge_evaluation else "preparation and training"
    findings = [finding(name, ours, target)] + ([finding(PEER, theirs, target)] if peer else [])
    about = {"network": config.model.name, "epochs": f"{config.train.epochs:g}", "charged": charged}
    about |= compute.description
    every = {name: [asdict(take) for take in takes] for name, takes in ((name, ours), (PEER, theirs)) if takes}
    found = result("accuracy", measured, rounds=runs, gpu=compute.measured_on, target=target, **about)
    return found | {"findings": findings, "runs": every}


def finding(name: str, takes: Sequence[Take], target: float) -> str:
    """Return what the runs say about the target, in a sentence."""
    values = [take.accuracy for take in takes]
    p, accuracy = p_above(target, values), mean_and_spread([100 * value for value in values], unit="%")
    seconds = mean_and_spread([take.seconds for take in takes], digits=None, unit=" s").partition(" (")[0]
    mean = f"{name}: mean test accuracy {accuracy} in {seconds}"
    if p is None:
        return f"{mean}: undecided against {100 * target:g}% (a verdict needs three runs that differ)"
    word = "above" if p < LEVEL else "not shown to be above"
    return f"{mean}: {word} {100 * target:g}%, one-sided p {p:.2g}, level {LEVEL:g}"


def _row(takes: Sequence[Take]) -> dict[str, dict[str, float]]:
    """Return the spreads of a side. The free seconds are those that it tells, without compiling if nothing is."""
    free = {
        "build (free), s": [take.build for take in takes if take.build is not None],
        "compile (free), s": [take.compile for take in takes if take.compile],
    }
    return {
        "test accuracy, %": spread([100 * take.accuracy for take in takes]),
        "charged, s": spread([take.seconds for take in takes]),
        **{column: spread(seconds) for column, seconds in free.items() if seconds},
    }


def _run(config: RunConfig, seed: int, folder: Path, charge_evaluation: bool) -> Take:
    """Train one seed, go on with it, or take it if it has ended."""
    seeded = config.model_copy(update={"seed": seed})
    path = folder / f"seed-{seed}"
    if not (path / "config.yaml").exists():
        run = start_run(seeded, runs=folder, name=path.name)
    else:
        same_run(read_config(path), seeded.model_dump(mode="json"))
        run = resume_run(path)  # which only reads one that has finished
    if run.status != "finished":
        raise UserError(f"bench accuracy: {path}: the run is {run.status}; the same command goes on with it")
    summary = run.summary
    seconds = charged_seconds(summary, evaluation=charge_evaluation)
    if seconds is None or "time/build_seconds" not in summary:
        raise UserError(f"bench accuracy: {path}: its trainer was older and charged building; give another folder")
    return Take(
        seed,
        summary["headline/accuracy"],
        seconds,
        evaluation=summary["time/evaluate_seconds"],
        build=summary["time/build_seconds"],
        compile=summary["time/compile_seconds"],
    )


class _Peer:
    """Whole runs of the checkout's main(), each kept in a file."""

    def __init__(self, checkout: Path, folder: Path, config: RunConfig) -> None:
        self._folder = folder
        data = json.dumps(config.data.model_dump(mode="json"))
        self._side = Side(f"{PEER} run", checkout.resolve(), data, own_threads=False)
        self._about = self._side.about()

    def take(self, number: int, charge_evaluation: bool) -> Take:
        """Train the run of this number, or take it if it has ended."""
        path = self._folder / f"{PEER}-{number}.json"
        if path.exists():
            kept = json.loads(path.read_text(encoding="utf-8"))
        else:
            kept = {"about": self._about, **self._side.ask("run")}
            write_json(path, kept)
        evaluation = kept["evaluation"]
        seconds = kept["seconds"] + (evaluation if charge_evaluation else 0.0)
        return Take(number, kept["accuracy"], seconds, evaluation)

    def end(self) -> None:
        self._side.end()


def _same_machine(folder: Path, here: Mapping[str, Any]) -> None:
    """Write the machine of these runs down. Raises UserError if it is another one, or another device of it."""
    path = folder / "machine.json"
    make_folder(folder)
    if not path.exists():
        write_json(path, here)
        return
    kept = json.loads(path.read_text(encoding="utf-8"))
    for key in (*_SAME, *(key for key in _OF_A_GPU if key in kept)):
        if (theirs := kept.get(key)) != (ours := here.get(key)):
            raise UserError(
                f"bench accuracy: {folder}: its runs are of {key} {theirs}, not {ours}; give another folder"
            )
