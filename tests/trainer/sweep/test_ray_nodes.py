"""Which nodes of a Ray cluster get runs and how many, and what a run makes of an actor's answers: without a cluster."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import ActorDiedError, ActorUnavailableError, OutOfMemoryError, RayError, RayTaskError

from trainer.errors import SweepError
from trainer.sweep import ray_cluster, ray_run
from trainer.sweep.child import LostError
from trainer.sweep.ray_cluster import Held, Node, RayCluster
from trainer.sweep.ray_fit import refuse_what_does_not_fit
from trainer.sweep.ray_node import Job, Reply, Worker

OURS = {"trainer": "1 (code a)", "torch": "2.15.0"}
SHARED = OURS | {"sees the mark": "yes"}


class Machines:
    """A stand-in for the module `ray`: nodes with CPUs and GPUs, and what each one answers."""

    def __init__(self) -> None:
        self.there: dict[str, tuple[int, int]] = {}
        self.answers: dict[str, Any] = {}
        self.killed: list[Any] = []

    def add(self, name: str, cpus: int, gpus: int = 0, answer: Any = SHARED) -> None:
        self.there[name], self.answers[name] = (cpus, gpus), answer

    def nodes(self) -> list[dict[str, Any]]:
        return [
            {"NodeID": id, "Alive": True, "NodeManagerHostname": id, "Resources": {"CPU": cpus, "GPU": gpus}}
            for id, (cpus, gpus) in self.there.items()
        ]

    def remote(self, what: Any) -> Any:
        def options(*, scheduling_strategy: Any, **_: Any) -> Any:
            id = scheduling_strategy.node_id
            actor = SimpleNamespace(begin=None)
            return SimpleNamespace(remote=lambda *_: actor if what is Worker else ("answer of", id))

        return SimpleNamespace(options=options)

    def wait(self, refs: list[Any], **_: Any) -> tuple[list[Any], list[Any]]:
        return refs, []

    def get(self, ref: Any, **_: Any) -> Any:
        answer = self.answers[ref[1]]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def kill(self, actor: Any) -> None:
        self.killed.append(actor)


@pytest.fixture
def machines(monkeypatch: pytest.MonkeyPatch) -> Machines:
    made = Machines()
    monkeypatch.setattr(ray_cluster, "ray", made)
    monkeypatch.setattr(
        ray_cluster, "NodeAffinitySchedulingStrategy", lambda id, soft: SimpleNamespace(node_id=id, soft=soft)
    )
    monkeypatch.setattr(ray_cluster, "asker", lambda: lambda _: OURS)
    monkeypatch.setattr(ray_cluster, "_NODES_SECONDS", -1)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    return made


@pytest.fixture
def cluster(machines: Machines, tmp_path: Path) -> Callable[..., RayCluster]:
    said: list[str] = []

    def make(**knobs: Any) -> RayCluster:
        return RayCluster(tmp_path, **{"per_device": 1, "jobs": None, "say": said.append, **knobs})

    make.said = said  # pyright: ignore[reportFunctionMemberAccess]
    return make


def test_a_node_runs_as_many_as_asked_for_on_each_gpu_or_on_its_processors(
    machines: Machines, cluster: Callable[..., RayCluster]
) -> None:
    machines.add("small", 7)
    machines.add("large", 64)
    found = cluster(per_device=4)
    assert (found.threads, found.room()) == (1, 8)  # seven processors leave room for more, but four were asked for
    machines.there = {"gpus": (16, 2), "small": (7, 0)}
    machines.answers["gpus"] = SHARED
    found = cluster(per_device=2)
    assert (found.threads, found.room()) == (4, 4), "two on each GPU, and none on the node without one"
    assert cluster(per_device=2, jobs=3).room() == 3


@pytest.mark.parametrize(
    ("words", "per_device", "gib", "said"),
    [
        (["model.name=resnet18"], 2, 80, []),
        (
            ["model.name=resnet18"],
            40,
            40,
            ["--per-device 40: a needs about ", " of node n has 40: at most "],
        ),
        (["model.name=wide_resnet28x10"], 1, 2, ["--per-device 1: a needs about ", "has 2: too large for it"]),
        (["model.name=lenet5", "train.devices=2"], 1, 80, ["--ray: a: train.devices=2: a run has one device there"]),
        (["model.name=lenet5", "train.device=cuda"], 1, 80, []),
    ],
)
def test_what_does_not_fit_a_gpu_is_refused_before_anything_starts(
    machines: Machines, cluster: Callable[..., RayCluster], words: list[str], per_device: int, gib: int, said: list[str]
) -> None:
    machines.add("n", 64, 1, answer=SHARED | {"GPU bytes": str(gib * 2**30)})
    entry = SimpleNamespace(run="a", point=SimpleNamespace(configuration_key="", overrides=words))
    sweep: Any = SimpleNamespace(entries=[entry], checked=SimpleNamespace(sweep=SimpleNamespace(fixed=[], texts=())))
    found = cluster(per_device=per_device)
    if not said:
        return refuse_what_does_not_fit([sweep], found, per_device=per_device)
    with pytest.raises(SweepError) as refused:
        refuse_what_does_not_fit([sweep], found, per_device=per_device)
    (line,) = refused.value.problems
    assert all(part in line for part in said), line
    if "at most" in line:  # and so many do fit
        most = int(line.rpartition(" ")[2])
        assert 1 <= most < per_device
        refuse_what_does_not_fit([sweep], found, per_device=most)


def test_when_the_last_gpu_leaves_no_run_goes_to_a_processor(
    machines: Machines, cluster: Callable[..., RayCluster]
) -> None:
    machines.add("gpu", 4, 1)
    machines.add("cpu", 4)
    found = cluster()
    del machines.there["gpu"]
    assert found.room() == 1, "one run waits"
    assert found.take() is None
    machines.add("new gpu", 4, 1)
    assert found.room() == 1
    held = found.take()
    assert held is not None and held.node.name == "new gpu"


def test_nodes_with_other_versions_are_refused_in_a_line_each(
    machines: Machines, cluster: Callable[..., RayCluster], tmp_path: Path
) -> None:
    machines.add("bare", 1, answer={"torch": "2.15.0"})
    machines.add("old", 1, answer={"trainer": "0 (code b)", "torch": "2.0.0"})
    machines.add("ours", 1)
    with pytest.raises(SweepError) as refused:
        cluster()
    assert refused.value.problems == (
        "--ray: node bare: trainer is not installed, but 1 (code a) here",
        "--ray: node old: trainer 0 (code b), but 1 (code a) here",
        "--ray: node old: torch 2.0.0, but 2.15.0 here",
    )


def test_a_node_that_could_not_answer_is_asked_again(machines: Machines, cluster: Callable[..., RayCluster]) -> None:
    machines.add("ours", 1)
    machines.add("busy", 1, answer=RayError("its worker died"))
    found = cluster()
    assert found.room() == 1
    machines.answers["busy"] = SHARED
    assert max(found.room() for _ in range(2)) == 2  # asked at the first look, admitted at once or at the next


def test_a_node_that_loses_one_run_after_another_rests(
    machines: Machines, cluster: Callable[..., RayCluster], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(ray_cluster.time, "monotonic", lambda: now[0])
    machines.add("bad", 2)
    found = cluster()

    def lose() -> None:
        held = found.take()
        assert held is not None
        found.lose(held)

    lose()
    lose()
    assert found.take() is None
    assert cluster.said == ["--ray: node bad has lost 2 runs in a row. It rests for 15 s"]  # pyright: ignore[reportFunctionMemberAccess]
    now[0] += 16
    lose()
    now[0] += 16
    assert found.take() is None, "the second rest is longer"
    now[0] += 16
    held = found.take()
    assert held is not None
    found.give_back(held)
    lose()
    assert found.take() is not None, "a run that ended there makes it good again"


def test_the_mark_of_a_driver_is_new_and_goes_with_it(
    machines: Machines, cluster: Callable[..., RayCluster], tmp_path: Path
) -> None:
    machines.add("ours", 1)
    first, second = cluster(), cluster()
    marks = {path.name for path in tmp_path.glob(".ray-*")}
    assert len(marks) == 2
    first.close()
    second.close()
    assert not list(tmp_path.glob(".ray-*"))


class Actor:
    """An actor whose answers are given. It notes what it is told."""

    def __init__(self, *answers: Any) -> None:
        self.answers, self.told, self.jobs = list(answers), list[str](), list[Job]()

    def __getattr__(self, name: str) -> Any:
        def remote(*words: Any) -> Any:
            self.told.append(name)
            self.jobs += [word for word in words if isinstance(word, Job)]
            return [self.answers.pop(0)] if name in ("begin", "look") else []

        return SimpleNamespace(remote=remote)


class Room:
    """A stand-in for the cluster, with one actor."""

    def __init__(self, actor: Actor, *, shared: bool) -> None:
        self.held = Held(actor, Node("1", "n1", 1, 0, shared=shared))
        self.ends: list[str] = []

    def take(self) -> Held:
        return self.held

    def give_back(self, _: Held) -> None:
        self.ends.append("given back")

    def drop(self, _: Held) -> None:
        self.ends.append("dropped")

    def lose(self, _: Held) -> None:
        self.ends.append("lost")


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., tuple[Any, Actor, Room]]:
    def get(answer: list[Any], **_: Any) -> Any:
        if answer and isinstance(answer[0], Exception):
            raise answer[0]
        return answer and answer[0]

    monkeypatch.setattr(ray_run, "ray", SimpleNamespace(wait=lambda refs, **_: (refs, []), get=get))
    monkeypatch.setattr(ray_run, "_ASK_SECONDS", -1)

    def start(*answers: Any, shared: bool = True) -> tuple[Any, Actor, Room]:
        actor = Actor(*answers)
        room = Room(actor, shared=shared)
        return ray_run.RayRun(room, tmp_path / "s" / "run", ["seed=0"], {}, lambda *_: None), actor, room  # pyright: ignore[reportArgumentType]

    return start


FINISHED = ("finished", {"test/accuracy": 0.5}, "")
AWAY = ActorUnavailableError("a network without patience", None)


def test_an_actor_that_does_not_answer_for_a_while_is_asked_again(started: Callable[..., Any]) -> None:
    child, actor, room = started(None, AWAY, AWAY, Reply([{"epoch": 1}], None), Reply([], FINISHED))
    assert [child.poll() for _ in range(5)] == [None] * 4 + [FINISHED]
    assert list(child.new_rows()) == [{"epoch": 1}]
    assert actor.told == ["begin", "look", "look", "look", "look"]
    assert room.ends == ["given back"]


def test_a_stop_is_said_again_after_an_answer_was_lost(started: Callable[..., Any]) -> None:
    child, actor, _ = started(None, AWAY, Reply([], ("interrupted", {}, "")))
    child.poll()
    child.stop()
    child.poll()
    assert child.poll() == ("interrupted", {}, "")
    assert actor.told.count("stop") == 2


def test_an_actor_that_stays_away_is_lost(started: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    child, _, room = started(None, AWAY, AWAY)
    monkeypatch.setattr(ray_run, "_AWAY_SECONDS", -1)
    child.poll()
    with pytest.raises(LostError, match=r"^lost on n1: "):
        child.poll()
    assert room.ends == ["lost"]
    assert child.poll()[0] == "interrupted"


@pytest.mark.parametrize(
    "error",
    [
        ActorDiedError(),
        OutOfMemoryError("Task was killed due to the node running low on memory."),
        RayTaskError("look", "traceback", OSError(28, "No space left on device")),
    ],
    ids=["died", "out of memory", "full disk"],
)
@pytest.mark.parametrize("begun", [True, False])
def test_what_a_machine_does_is_a_loss_and_no_failure_of_the_run(
    started: Callable[..., Any], error: Exception, begun: bool
) -> None:
    child, _, room = started(*([None] if begun else []), error)
    if begun:
        child.poll()
    with pytest.raises(LostError, match=r"^lost on n1: [^\n]+$"):
        child.poll()
    assert room.ends == ["lost"]


def test_a_run_that_may_have_begun_is_killed_there_before_its_actor(started: Callable[..., Any]) -> None:
    child, actor, room = started(None)
    child._is_placed()
    child._send()
    child.kill()
    assert actor.told == ["begin", "kill"]
    assert room.ends == ["dropped"]


def test_a_folder_comes_home_whole_and_a_sweep_begun_anew_has_another_place_there(
    started: Callable[..., Any], tmp_path: Path
) -> None:
    folder = tmp_path / "s" / "run"
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text("old")
    (folder / "left over").write_text("old")
    reply = Reply([], FINISHED, {"config.yaml": b"new", "own/a.py": b"text"}, b"log")
    child, actor, _ = started(None, reply, shared=False)
    child.poll()
    assert child.poll() == FINISHED
    assert {str(p.relative_to(folder)): p.read_text() for p in folder.rglob("*") if p.is_file()} == {
        "config.yaml": "new",
        "own/a.py": "text",
    }
    assert [path.name for path in sorted((tmp_path / "s").iterdir())] == [".children", ".ray-id", "run"]
    assert actor.told[-1] == "clear"
    again, second, _ = started(None, shared=False)
    again.poll()
    (tmp_path / "s" / ".ray-id").unlink()
    anew, third, _ = started(None, shared=False)
    anew.poll()
    assert actor.jobs[0].place == second.jobs[0].place != third.jobs[0].place
    assert second.jobs[0].kept["config.yaml"] == b"new"


def test_what_came_home_counts_more_than_what_lies_on_the_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("trainer.sweep.ray_node.Child", lambda folder, *_, **__: made.append(folder))
    monkeypatch.setattr("trainer.sweep.ray_node.warm_up", lambda _: None)
    monkeypatch.setattr("trainer.sweep.ray_node._this_node", lambda: json.dumps({}))
    made: list[Path] = []
    stale = tmp_path / "cifar-sweeps-x" / "run"
    stale.mkdir(parents=True)
    (stale / "checkpoint.pt").write_text("older")
    (stale / "config.yaml").write_text("older")
    job = Job("1", "/home/s/run", "x", {"config.yaml": b"kept"}, {}, [], {}, "/", lambda *_: None)
    Worker([]).begin(job)
    assert made == [stale]
    assert {path.name: path.read_text() for path in stale.iterdir()} == {"config.yaml": "kept"}
