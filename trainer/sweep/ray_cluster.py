"""Runs on the machines of a Ray cluster: `trainer sweep run FILE --ray auto`.

An actor holds an ordinary `Child` on its node, one run at a time. It is kept for the next run, because the server from
which children are forked takes seconds to start. This process, the driver, is the only one that writes the ledger. Ray
ends the actors when the driver ends, and the children then save.
"""

import logging
import os
import re
import socket
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from trainer.errors import SweepError, first_line
from trainer.files import make_folder, write_whole
from trainer.sweep.child import THREADS, Train, train
from trainer.threads import threads_asked

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # before Ray is imported: it would send figures about its use
try:
    import ray
    from ray.exceptions import RayError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
except ImportError as missing:
    raise SweepError("--ray: needs Ray: pip install 'cifar-sweeps[ray]'") from missing

from trainer.sweep.ray_node import Worker, asker
from trainer.sweep.ray_run import RayRun

_NODES_SECONDS = 5  # between two looks at which nodes there are
_IDLE_SECONDS = 30  # for which an actor without a run keeps its share of a node
_ANSWER_SECONDS = 120  # in which a node must say what it runs
_CONNECT_SECONDS = 10
_REST_SECONDS = 15  # of a node that has lost two runs in a row, twice as long after each further one
_LONGEST_REST = 300
_PASSED_ON = ("TRAINER_AUTO_PRECISION", "WANDB_MODE", "WANDB_PROJECT", "WANDB_ENTITY", "WANDB_RUN_GROUP",
              "WANDB_BASE_URL")  # from the driver's environment  # fmt: skip


@dataclass(frozen=True)
class Node:
    """A machine of the cluster."""

    id: str
    name: str
    cpus: int
    gpus: int
    shared: bool = False  # it sees the folder of runs
    gpu_bytes: int = 0  # memory of its smallest GPU, 0 if not known


@dataclass(frozen=True)
class Held:
    """An actor, where it is, and when its last run ended."""

    actor: Any
    node: Node
    since: float = 0.0


class RayCluster:
    """The nodes that run what the driver runs, and the actors on them.

    A run has 1/`per_device` of a GPU, or of a node's CPUs if no node has a GPU at the start. `say` gets a line about
    each node that joins later and is left out, or rests. Raises SweepError with a line for each node that is there and
    has other versions, or if none can run anything.
    """

    def __init__(
        self,
        runs: Path,
        *,
        per_device: int,
        jobs: int | None,
        say: Callable[[str], None],
        target: Train = train,
        modules: Sequence[str] = ("trainer.sweep.warm",),
    ) -> None:
        self._per_device, self._jobs, self._say = per_device, jobs, say
        self._target, self._modules = target, list(modules)
        self._mark = _mark(runs.absolute())
        self._nodes: dict[str, Node] = {}  # admitted, by id
        self._asked: dict[str, tuple[Node, ray.ObjectRef[dict[str, str]]]] = {}  # with the answer that is to come
        self._known = set[str]()
        self._losses = Counter[str]()  # runs that a node has lost since it ended one
        self._rests = dict[str, float]()  # until when a node gets no run
        self._busy: list[Held] = []
        self._idle: list[Held] = []
        self._here = asker()(str(self._mark))
        self._ask_nodes()
        if answers := [answer for _, answer in self._asked.values()]:
            ray.wait(answers, num_returns=len(answers), timeout=_ANSWER_SECONDS)
        if problems := list(self._admit()):
            raise SweepError(*problems)
        self._on_gpus = any(node.gpus for node in self._nodes.values())
        shares = [node.cpus // (per_device * (node.gpus or 1)) for node in self._able()]
        self.threads = threads_asked() or max(1, min(shares, default=1))
        if not any(map(self._room_on, self._nodes.values())):
            raise SweepError(f"--ray: no node has room for a run with {self.threads} CPUs")

    def room(self) -> int:
        """Return how many runs there may be at once, now: one at least, which waits for a node."""
        if time.monotonic() - self._looked > _NODES_SECONDS:
            self._ask_nodes()
            self._let_go()
        for problem in self._admit():
            self._say(f"{problem}. It gets no run")
        room = sum(map(self._room_on, self._nodes.values()))
        return max(1, min(room, self._jobs or room))

    def smallest_gpu(self) -> tuple[str, int] | None:
        """Return the node with the smallest GPU, and its memory in bytes. None if no node tells."""
        known = [(node.gpu_bytes, node.name) for node in self._able() if node.gpu_bytes]
        return (min(known)[1], min(known)[0]) if known else None

    def start(self, folder: Path, overrides: Sequence[str], env: Mapping[str, str]) -> RayRun:
        """Start a run with the threads of its share. It waits if no node has room."""
        known = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        asked = {**known, **env, **dict.fromkeys(THREADS, str(self.threads))}
        return RayRun(self, folder.absolute(), overrides, asked, self._target)

    def take(self) -> Held | None:
        """Return an actor that waits, or else a new one on the node with the most room. None if there is no room."""
        while self._idle:
            held = self._idle.pop()
            if held.node.id in self._nodes:
                self._busy.append(held)
                return held
        now = time.monotonic()
        free = {
            id: self._room_on(node) - self._actors_on(node)
            for id, node in self._nodes.items()
            if self._rests.get(id, 0.0) <= now
        }
        best = max(free, key=lambda id: free[id], default=None)
        if best is None or free[best] < 1:
            return None
        node = self._nodes[best]
        actor = ray.remote(Worker).options(
            num_cpus=self.threads,
            num_gpus=1 / self._per_device if self._on_gpus else 0,
            max_restarts=0,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node.id, soft=False),
        )
        held = Held(actor.remote(self._modules), node)
        self._busy.append(held)
        return held

    def give_back(self, held: Held) -> None:
        """Keep an actor whose run has ended for the next one."""
        self._losses.pop(held.node.id, None)
        self._busy.remove(held)
        self._idle.append(replace(held, since=time.monotonic()))

    def drop(self, held: Held) -> None:
        """End an actor. If its child runs, it saves and ends."""
        self._busy.remove(held)
        _end(held)

    def lose(self, held: Held) -> None:
        """End an actor whose run is lost. A node that loses one run after another rests: it may be its fault."""
        self.drop(held)
        self._losses[held.node.id] += 1
        if (again := self._losses[held.node.id] - 2) >= 0:
            seconds = min(_LONGEST_REST, _REST_SECONDS * 2**again)
            self._rests[held.node.id] = time.monotonic() + seconds
            self._say(f"--ray: node {held.node.name} has lost {again + 2} runs in a row. It rests for {seconds} s")

    def close(self) -> None:
        """End all actors."""
        for held in [*self._idle, *self._busy]:
            _end(held)
        self._mark.unlink(missing_ok=True)

    def _able(self) -> list[Node]:
        """Return the nodes that get runs: those with a GPU, if one had one at the start. Results mix no two kinds."""
        return [node for node in self._nodes.values() if node.gpus or not self._on_gpus]

    def _room_on(self, node: Node) -> int:
        if node not in self._able():
            return 0
        return min(node.cpus // self.threads, self._per_device * (node.gpus if self._on_gpus else 1))

    def _actors_on(self, node: Node) -> int:
        return sum(held.node.id == node.id for held in [*self._busy, *self._idle])

    def _ask_nodes(self) -> None:
        """Forget nodes that have gone, and ask new ones what they run."""
        self._looked = time.monotonic()
        alive = {node["NodeID"]: node for node in ray.nodes() if node["Alive"]}
        self._nodes = {id: node for id, node in self._nodes.items() if id in alive}
        for id in sorted(alive.keys() - self._known):
            self._known.add(id)
            has = alive[id]["Resources"]
            node = Node(id, alive[id]["NodeManagerHostname"], int(has.get("CPU", 0)), int(has.get("GPU", 0)))
            if node.cpus:
                place = NodeAffinitySchedulingStrategy(id, soft=False)
                ask = ray.remote(asker()).options(num_cpus=0, max_retries=0, scheduling_strategy=place)
                self._asked[id] = node, ask.remote(str(self._mark))

    def _admit(self) -> Iterator[str]:
        """Admit the nodes that have answered. Yield a line for each difference of one that has other versions."""
        for id, (node, answer) in list(self._asked.items()):
            if not ray.wait([answer], timeout=0)[0]:
                continue
            del self._asked[id]
            try:
                there: dict[str, str] = ray.get(answer)
            except RayError:  # it has gone again, or could not answer now: it is asked again while it is there
                self._known.discard(id)
                continue
            differing = [key for key in ("trainer", "torch") if there.get(key) != self._here.get(key)]
            if not differing:
                shared, memory = "sees the mark" in there, int(there.get("GPU bytes", 0))
                self._nodes[id] = replace(node, shared=shared, gpu_bytes=memory)
            for key in differing:
                other = there.get(key, "is not installed")
                yield f"--ray: node {node.name}: {key} {other}, but {self._here.get(key)} here"

    def _let_go(self) -> None:
        """End actors that no run has needed for a while: others may wait for their share of a node."""
        late = [held for held in self._idle if time.monotonic() - held.since > _IDLE_SECONDS]
        self._idle = [held for held in self._idle if held not in late]
        for held in late:
            _end(held)


@contextmanager
def connected(address: str) -> Iterator[None]:
    """Connect to a cluster: `auto`, HOST:PORT of its head, or ray://HOST:PORT. Raises SweepError if none answers."""
    if ray.is_initialized():  # by a program that calls us
        yield
        return
    _connect(address)
    try:
        yield
    finally:
        ray.shutdown()


def _connect(address: str) -> None:
    if address != "auto":
        host, _, port = address.removeprefix("ray://").rpartition(":")
        if not host or not port.isdigit():
            raise SweepError(f"--ray: {address!r}: expected auto, HOST:PORT or ray://HOST:10001")
        try:  # Ray itself would try for minutes
            socket.create_connection((host, int(port)), _CONNECT_SECONDS).close()
        except OSError as error:
            raise SweepError(f"--ray: {address}: {error.strerror or error}. Is a Ray cluster running there?") from error
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:  # of many types: no cluster, another version of Ray or of Python
        raise SweepError(f"--ray: {address}: {_reason(error)}") from error


def _mark(runs: Path) -> Path:
    """Write a file of this driver alone into the folder of runs: a node that sees it shares the folder.

    Its name is new each time. A copy of the folder has those of earlier drivers at most. Raises DiskError.
    """
    path = runs / f".ray-{uuid.uuid4().hex[:12]}"
    make_folder(runs)
    write_whole(path, b"")
    return path


def _reason(error: Exception) -> str:
    """Return the line that says why: Ray may put a traceback of the other machine into a message."""
    named = re.search(r"^\w*Error: .+", str(error), re.MULTILINE)
    return named[0] if named else first_line(error)


def _end(held: Held) -> None:
    with suppress(Exception):  # it has gone already, or all of its cluster has
        ray.kill(held.actor)
