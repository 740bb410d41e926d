"""Runs of one process, one after the other, against runs that each have a process of their own."""

import io
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from pretend import server
from pretend.watch import wait_for
from run_ends import assert_same_end

from trainer.config.data import Shapes10
from trainer.data import sources
from trainer.sweep import again
from trainer.sweep.child import Child, train

ENV = {"OMP_NUM_THREADS": "1"}
SHORT = ["train.epochs=1"]
BROKEN = ["optimizer.name=sgd", "optimizer.lr=1e8", "optimizer.norm_and_bias_lr_scale=1", "optimizer.weight_decay=1"]


class Slot:
    """Runs the points of a slot of the engine, one after the other."""

    def __init__(self, folder: Path) -> None:
        server.ready()
        self.folder = folder
        self.last: Child | None = None

    def begin(self, name: str, words: list[str], env: dict[str, str] = ENV) -> Child:
        self.last = Child(self.folder / name, words, env, target=train, stays=True, after=self.last)
        return self.last

    def run(self, name: str, words: list[str], env: dict[str, str] = ENV) -> tuple[str, int]:
        """Return how a run has ended and in which process."""
        child = self.begin(name, words, env)
        wait_for(lambda: child.poll() is not None)
        state, _, _ = child.poll() or ("", {}, "")
        return state, pid_of(child)

    def said(self, name: str) -> str:
        return (self.folder / ".children" / f"{name}.log").read_text()


def pid_of(child: Child) -> int:
    return child._process._process.pid or 0  # pyright: ignore[reportPrivateUsage] - no one else asks


@pytest.fixture
def slot(tmp_path: Path) -> Iterator[Slot]:
    slot = Slot(tmp_path)
    yield slot
    if slot.last:
        slot.last.dismiss()
        with suppress(ProcessLookupError):
            os.kill(pid_of(slot.last), 0)
            pytest.fail("it outlives its dismissal")


def test_a_run_in_a_process_that_stays_has_the_bits_of_one_in_its_own(slot: Slot, small_run: list[str]) -> None:
    """Before it go runs with another network, number format, data and generators, and one that diverges."""
    run = [*small_run, *SHORT, "seed=3"]
    others = {
        "other": [*small_run, *SHORT, "model.width=3", "train.precision=bfloat16", "train.deterministic=true"],
        "held_out": [*small_run, *SHORT, "data.val_fraction=0.25", "augment.mix.name=cutmix", "optimizer.name=adam"],
        "broken": [*small_run, *BROKEN],
    }
    ends = {name: slot.run(name, words) for name, words in others.items()}
    ends["here"] = slot.run("here", run)
    assert [state for state, _ in ends.values()] == ["finished", "finished", "diverged", "finished"]
    assert len({process for _, process in ends.values()}) == 1

    own = Child(slot.folder / "own", run, ENV)
    wait_for(lambda: own.poll() is not None)
    assert_same_end(slot.folder / "here", slot.folder / "own")
    for name in ends:
        assert slot.said(name).rstrip().splitlines()[-1] == str(slot.folder / name)
        assert slot.said(name).count("\ntraining ") + slot.said(name).startswith("training ") == 1


def test_a_process_takes_no_run_after_one_that_has_failed_or_was_signalled(slot: Slot, small_run: list[str]) -> None:
    _, first = slot.run("first", [*small_run, *SHORT])
    state, same = slot.run("bad", [*small_run, "optimizer.name=nothing"])
    assert (state, same) == ("crashed", first)
    _, second = slot.run("second", [*small_run, *SHORT])
    assert second != first

    child = slot.begin("stopped", [*small_run, "train.epochs=100000"])
    assert pid_of(child) == second
    wait_for(lambda: (slot.folder / "stopped" / "metrics.jsonl").exists())
    child.stop()
    wait_for(lambda: child.poll() is not None)
    assert child.poll()[0] == "interrupted"  # pyright: ignore[reportOptionalSubscript] - it has ended
    _, third = slot.run("third", [*small_run, *SHORT])
    assert third != second

    child = slot.begin("killed", [*small_run, "train.epochs=100000"])
    wait_for(lambda: (slot.folder / "killed" / "metrics.jsonl").exists())
    os.kill(pid_of(child), signal.SIGKILL)
    wait_for(lambda: child.poll() is not None)
    assert child.poll() == ("interrupted", child.poll()[1], "killed by signal 9")  # pyright: ignore[reportOptionalSubscript]
    state, fourth = slot.run("fourth", [*small_run, *SHORT])
    assert state == "finished"
    assert fourth != third

    os.kill(fourth, signal.SIGKILL)  # while it waits
    state, fifth = slot.run("fifth", [*small_run, *SHORT])
    assert state == "finished"
    assert fifth != fourth
    _, sixth = slot.run("sixth", [*small_run, *SHORT], {**ENV, "CUDA_VISIBLE_DEVICES": ""})
    assert sixth != fifth
    _, seventh = slot.run("seventh", [*small_run, *SHORT, "sink.tensorboard.mode=disabled"], {**ENV})
    assert seventh != sixth


def test_a_run_with_a_part_of_the_users_is_the_last_of_its_process(slot: Slot, small_run: list[str]) -> None:
    own = slot.folder / "mine.py"
    own.write_text(
        "import os\nimport torch\nos.environ['LEFT'] = 'behind'\n"
        "class Loss:\n    def __call__(self, logits, targets):\n"
        "        return torch.nn.functional.cross_entropy(logits, targets, reduction='none')\n"
    )
    _, first = slot.run("first", [*small_run, *SHORT])
    state, same = slot.run("own", [*small_run, *SHORT, f"loss.name={own}:Loss"])
    assert (state, same) == ("finished", first), slot.said("own")
    _, next_one = slot.run("next", [*small_run, *SHORT])
    assert next_one != first


def test_what_a_process_has_once_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEPT", "yes")

    def state() -> tuple[object, ...]:
        hooks = sys.excepthook, sys.exit, threading.excepthook
        return dict(os.environ), list(sys.argv), sys.stdout, sys.stderr, warnings.filters[:], *hooks

    before = state()
    with again.restored():
        os.environ["LEFT"] = "behind"
        del os.environ["KEPT"]
        sys.argv = ["trainer"]
        sys.stdout = sys.stderr = io.StringIO()
        warnings.simplefilter("ignore")
        sys.excepthook = threading.excepthook = print  # pyright: ignore[reportAttributeAccessIssue] - any function
    assert state() == before


def test_a_thread_that_python_would_wait_for_ends_the_process() -> None:
    go = threading.Event()
    thread = threading.Thread(target=go.wait)
    thread.start()
    assert not again.leaves_nothing(Path())
    go.set()
    thread.join()


def test_only_the_last_image_set_is_kept_and_only_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    whole = sources.load_image_set(Shapes10(train_size=100), seed=0)

    def note(data: Shapes10) -> object:
        read.append(data.seed)
        return whole

    monkeypatch.setattr(sources, "_read", note)
    for seed in (0, 0):
        sources.load_image_set(Shapes10(seed=seed), seed=0)
    assert read == [0, 0]
    monkeypatch.setattr(sources, "_keeps", True)
    monkeypatch.setattr(sources, "_last", None)
    for seed in (1, 1, 2, 2, 1):
        images = sources.load_image_set(Shapes10(seed=seed, val_fraction=0.1), seed=seed).train.images
        assert len(images) == 90
    assert read == [0, 0, 1, 2, 1]
    assert torch.equal(sources.load_image_set(Shapes10(seed=1), seed=0).train.images, whole.train.images)
