"""Seconds to an accuracy: whole runs of a recipe with a seed each, in turns with a peer's, by the protocol of records.

docs/records.md has the protocol. Every run of ours is an ordinary run folder, and every run of a peer a file beside
them, so that others can check each number, and the same command goes on where it was broken off. On another machine it
goes on from archives of these folders.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from trainer.bench.judged import finding, plain, rows, summaries
from trainer.bench.machines import Machine, names_of
from trainer.bench.peers import Side
from trainer.bench.rounds import ratio, result
from trainer.bench.takes import Note, Take, archived, has_finished, run_of, seeded
from trainer.config import RunConfig
from trainer.config.load import validate
from trainer.config.overrides import lay_over
from trainer.errors import UserError
from trainer.files import make_folder, write_json
from trainer.runs.provenance import machine
from trainer.training.device import choose_compute
from trainer.training.run import start_run

_SAME = ("processor", "bfloat16", "cores", "device", "precision", "python", "versions")
"""Parts of a machine that have to be the same for seconds that may be compared."""
_OF_A_GPU = ("gpu", "cuda", "cudnn")
"""The same of a GPU. Older folders do not say them."""


def bench_accuracy(
    config: RunConfig,
    *,
    name: str,
    target: float,
    runs: int,
    folder: Path,
    charge_evaluation: bool = False,
    against: Path | None = None,
    peer_runs: int | None = None,
    have: Sequence[Path] = (),
    note: Note = lambda _: None,
) -> dict[str, Any]:
    """Train `runs` runs with the seeds from the config's on, or take those that `folder` and archives have. Judge them.

    `target` is a fraction. `against` is a script of airbench's, whose runs take turns with ours, with the first
    `peer_runs` of those that are made here if there are so many. `have` are archives, and `note` gets a line for what
    does not count of them. Raises UserError for a folder of another config or machine, for a run that does not end,
    and for a peer whose code does not run here, ArchiveError for a damaged archive.
    """
    compute = choose_compute(config.train)
    seeds = range(config.seed, config.seed + runs)
    had = archived(
        config, seeds, have, folder=folder, precision=compute.precision, charge_evaluation=charge_evaluation, note=note
    )
    own = [seed for seed in seeds if seed not in had]
    pairs = _pairs(own, against, folder, peer_runs, note) if against else []
    if own:
        _same_machine(folder, machine(compute.measured_on) | compute.description)
    made, theirs = dict(had), list[Take]()
    peer = _Peer(against, folder, config, charge_evaluation) if against else None
    if compute.device.type == "cuda" and not all(has_finished(folder, seed) for seed in own):
        warm_up(config)
    try:
        for seed in own:
            turns = [partial(_make, made, seeded(config, seed), folder, charge_evaluation)]
            if peer and seed in pairs:
                peer.begin(seed)
                turns.append(partial(_take_turn, theirs, peer, seed))
            for turn in turns if len(theirs) % 2 == 0 else reversed(turns):
                turn()
    finally:
        if peer:
            peer.end()
    ours = [made[seed] for seed in seeds]
    theirs = [replace(take, machine=made[take.seed].machine) for take in theirs]
    machines = names_of(take.machine for take in ours if take.machine)
    peer_name = against.stem if against else ""
    peer_name += " of the peer" * (peer_name == name)  # a network may be called as a script of theirs is
    sides = {name: ours} | ({peer_name: theirs} if theirs else {})
    measured = {row: columns for side, takes in sides.items() for row, columns in rows(side, takes, machines).items()}
    findings = [finding(side, takes, target, machines) for side, takes in sides.items()]
    charged = "preparation, training and evaluation" if charge_evaluation else "preparation and training"
    about: dict[str, Any] = {"network": config.model.name, "epochs": f"{config.train.epochs:g}", "charged": charged}
    about |= compute.description
    if had:  # then the device is that of some runs only
        about |= {"from archives": len(had), "made here": len(own)}
        del about["device"]
    if theirs:
        found = ratio([made[take.seed].seconds for take in theirs], [take.seconds for take in theirs])
        measured[name]["seconds to theirs, ratio"] = found
        findings.append(_compared(f"{name} to {peer_name}", found, theirs[0].machine, len(theirs), machines))
        about["pairs"] = len(theirs)
    return result("accuracy", measured, rounds=runs, gpu=compute.measured_on, target=target, **about) | {
        "findings": findings,
        "machines": {side: summaries(takes, machines) for side, takes in sides.items()},
        "runs": {side: [plain(take, machines) for take in takes] for side, takes in sides.items()},
    }


def warm_up(config: RunConfig) -> None:
    """Take three steps of a run that is not kept, since a process waits for a GPU's libraries and kernels once."""
    off = {name: {"mode": "disabled"} for name in ("wandb", "trackio", "tensorboard")} | {"console": {"mode": "off"}}
    train = {"max_steps": 3, "ema": {"every": 1}}  # a rarer update would be refused in so few steps
    short = lay_over(config.model_dump(mode="json"), {"train": train, "sink": off})
    with TemporaryDirectory() as folder:
        run = start_run(validate(short), runs=Path(folder), name="warm-up")
    if run.status != "finished":
        raise UserError(f"bench accuracy: the first steps, which are not kept, are {run.status}")


def _pairs(own: Sequence[int], script: Path, folder: Path, most: int | None, note: Note) -> list[int]:
    """Return the seeds of our runs beside which a peer runs: those that it began with, and those still to be made.

    A run that has finished without a peer was in no turn with one. Raises UserError if none is left.
    """
    found = [seed for seed in own if _file_of_peer(script, folder, seed).exists() or not has_finished(folder, seed)]
    if not found:
        raise UserError("--against: all runs are there, so none is left to take turns with; leave it out")
    if most is not None and len(found) < most:
        note(f"--peer-runs {most}: only {len(found)} of our runs can take turns with the peer's")
    return found[:most]


def _make(made: dict[int, Take], config: RunConfig, folder: Path, charge_evaluation: bool) -> None:
    made[config.seed] = run_of(config, folder, charge_evaluation)


def _take_turn(theirs: list[Take], peer: "_Peer", seed: int) -> None:
    theirs.append(peer.take(seed))


def _compared(
    sides: str, found: Mapping[str, float], on: Machine | None, n: int, machines: Mapping[Machine, str]
) -> str:
    where = f", in turns on {machines[on]}" if on else ""
    spread = f"{found['median']:.3g} ({found['min']:.3g} to {found['max']:.3g})"
    return f"{sides}: {spread} of its seconds in {n} pair{'' if n == 1 else 's'}{where}"


def _file_of_peer(script: Path, folder: Path, seed: int) -> Path:
    return folder / f"{script.stem}-{seed}.json"


class _Peer:
    """Whole runs of a script's main(), each kept in a file that has the seed of our run beside it in its name."""

    def __init__(self, script: Path, folder: Path, config: RunConfig, charge_evaluation: bool) -> None:
        self._script, self._folder = script, folder
        self._charge_evaluation = charge_evaluation
        data = json.dumps(config.data.model_dump(mode="json"))
        self._side = Side("airbench run", script.resolve(), data, own_threads=False)
        self._about = self._side.about()

    def begin(self, seed: int) -> None:
        """Write down that the peer takes turns with our run of this seed, so that a pair broken off stays one."""
        if not (path := _file_of_peer(self._script, self._folder, seed)).exists():
            write_json(path, {"about": self._about})

    def take(self, seed: int) -> Take:
        """Train the run beside ours of this seed, or take it if it has ended."""
        path = _file_of_peer(self._script, self._folder, seed)
        kept = json.loads(path.read_text(encoding="utf-8"))
        if "seconds" not in kept:
            kept = {"about": self._about, **self._side.ask("run")}
            write_json(path, kept)
        evaluation = kept["evaluation"]
        seconds = kept["seconds"] + (evaluation if self._charge_evaluation else 0.0)
        return Take(seed, kept["accuracy"], seconds, evaluation)

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
