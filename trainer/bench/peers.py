"""Our training loop against those of other repositories, each in a process of its own.

Nothing of theirs is here: a side imports the checkout that it is given (peer.py).
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any

from trainer.bench.rounds import in_turns, ratio, result, spread
from trainer.config.train import Train
from trainer.errors import UserError
from trainer.threads import environment_as_found

PEERS: Mapping[str, str] = {  # the file of a checkout that shows that it is one
    "pytorch-cifar": "main.py",
    "airbench": "airbench94_muon.py",
    "timm": "train.py",
}
AIRBENCH: Mapping[str, float] = {
    "airbench94_muon.py": 0.94,
    "legacy/airbench95.py": 0.95,
    "airbench96_faster.py": 0.96,
    "legacy/airbench94.py": 0.94,
    "legacy/airbench94_compiled.py": 0.94,
    "legacy/airbench96.py": 0.96,
}
"""Scripts of airbench's, each with the accuracy at which its schedule ends, the quickest one first."""
OURS = {"pytorch-cifar": "ours resnet18", "timm": "ours timm/resnet18", "airbench": "ours fastresnet9"}
_SAME = ("pytorch-cifar", "timm")  # train the same network as the side of ours


def airbench_script(against: Path, target: float) -> Path:
    """Return a script that trains to `target`, a fraction: `against` itself, or the quickest one of that checkout.

    Raises UserError if there is none, and for a script that is for a lower accuracy. Imports no torch.
    """
    if against.is_file():
        known = {Path(script).name: end for script, end in AIRBENCH.items()}
        if against.name not in known:
            raise UserError(f"--against {against}: expected one of {', '.join(known)}, or a checkout of airbench")
        ends, script = known[against.name], against
    else:
        name = next((name for name, end in AIRBENCH.items() if target <= end), None)
        if name is None:
            most = f"airbench, which --against runs, goes up to {max(AIRBENCH.values()):g}"
            raise UserError(f"--target {target:g}: {most}; leave --against out")
        ends, script = AIRBENCH[name], against / name
    if not script.is_file():
        raise UserError(f"--against {against}: no {script.relative_to(against)} in it")
    if target > ends:
        lower = f"{script.name}, which --against runs, is for {ends:g}"
        raise UserError(f"--target {target:g}: {lower}; give its checkout, or leave --against out")
    return script


def bench_peers(checkouts: Mapping[str, Path], *, rounds: int = 5, images: int = 1280) -> dict[str, Any]:
    """Return images/s of training loops in turns, by the names of PEERS. A turn is an epoch of `images` of noise.

    `ours / theirs` is the ratio where both train the same network on batches of the same size: ResNet18 on 128 images,
    each with its own random crops and flips, batches and precision. airbench trains a network of its own.

    Raises UserError for a checkout without its file, or one whose code cannot be run here.
    """
    refuse_others(checkouts)
    with ExitStack() as stack:
        sides: dict[str, Side] = {}
        described: dict[str, str] = {}
        for peer, path in checkouts.items():
            for name, where in ((peer, path.resolve()), (OURS[peer], None)):
                sides[name] = Side(name, where, str(images), own_threads=where is None)
                stack.callback(sides[name].end)
                described[name] = sides[name].about()
        rates = in_turns({name: partial(_rate, side, images) for name, side in sides.items()}, rounds=rounds)
    measured = {name: {"images/s": spread(rate)} for name, rate in rates.items()}
    for peer in checkouts:
        if peer in _SAME:
            measured[OURS[peer]]["ours / theirs, ratio"] = ratio(rates[OURS[peer]], rates[peer])
    from trainer.training.device import choose_compute

    gpu = choose_compute(Train()).measured_on  # as all sides choose
    return result("peers", measured, rounds=rounds, gpu=gpu, images=images, **described)


def refuse_others(checkouts: Mapping[str, Path]) -> None:
    """Raise UserError with a line for each path that is no checkout, or if there is none. Imports no torch."""
    missing = [
        f"--{peer} {path}: no {PEERS[peer]} in it"
        for peer, path in checkouts.items()
        if not (path / PEERS[peer]).is_file()
    ]
    if missing or not checkouts:
        flags = ", ".join(f"--{peer} DIR" for peer in PEERS)
        raise UserError(*(missing or [f"bench peers: nothing to compare with; give a checkout: {flags}"]))


def _rate(side: "Side", images: int) -> float:
    return images / float(side.ask("seconds"))


class Side:
    """A child process that trains an epoch, or a run, whenever it is asked to (peer.py)."""

    def __init__(self, name: str, path: Path | None, argument: str, *, own_threads: bool) -> None:
        """`own_threads` are those of the trainer. A peer has those that its own users start it with."""
        words = [sys.executable, "-m", "trainer.bench.peer", name, str(path or ""), argument]
        self._name = name
        env = None if own_threads else environment_as_found()
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)

    def about(self) -> str:
        """Wait until it is ready. Return what it trains."""
        return str(self._answer("about"))

    def ask(self, key: str) -> Any:
        """Let it train, and return what it says under a key. Raises UserError if its process fails."""
        assert self._process.stdin
        with suppress(BrokenPipeError):  # it has ended, and what it said last tells why
            print(file=self._process.stdin, flush=True)
        return self._answer(key)

    def end(self) -> None:
        self._process.communicate()  # closes its input, which ends it

    def _answer(self, key: str) -> Any:
        """Return what the child says under a key. Other lines are what their code prints."""
        assert self._process.stdout
        for line in self._process.stdout:
            if line.startswith("{"):
                content = json.loads(line)
                if "error" in content:
                    raise UserError(f"bench: {self._name}: {content['error']}")
                return content[key]
        raise UserError(f"bench: {self._name}: its process ended")
