"""One seed gives the same bits in every process, and a run that is resumed ends as the unbroken one.

Each run is a process of its own, since one process chooses its kernels once.
"""

import signal
from pathlib import Path

import pytest
from on_device import DEFAULT, ON_CPU, in_a_child, state_at_end
from run_ends import assert_same_end

from trainer.sweep.child import warm_up

pytestmark = pytest.mark.gpu

# A checkpoint each epoch, also on a GPU, so that there is one to resume from.
SIXTY_STEPS = ["train.batch_size=32", "train.epochs=3", "train.checkpoint_seconds=0"]
_NETWORK = ["model.name=handmade_cnn", "model.channels=[4,4]"] if ON_CPU else ["model.name=vgg_a"]
DROPOUT = [*_NETWORK, "model.dropout=0.3", "optimizer.name=adam", "train.ema.decay=0.99"]


@pytest.fixture(autouse=True, scope="module")
def server() -> None:
    warm_up()


@pytest.fixture(scope="module")
def unbroken(device_run: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with dropout, EMA and Adam."""
    folder = tmp_path_factory.mktemp("runs") / "unbroken"
    assert state_at_end(in_a_child(folder, [*device_run, *SIXTY_STEPS, *DROPOUT])) == "finished"
    return folder


def test_two_processes_with_one_seed_end_with_the_same_bits(tmp_path: Path, device_run: list[str]) -> None:
    words = [*device_run, *SIXTY_STEPS, *DEFAULT, "model.ghost_size=16"]  # two groups of a batch, at once
    children = [in_a_child(tmp_path / name, words) for name in ("one", "other")]
    assert [state_at_end(child) for child in children] == ["finished", "finished"]
    assert_same_end(tmp_path / "one", tmp_path / "other")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "stopped"])
def test_a_run_broken_at_step_31_and_resumed_ends_with_the_bits_of_the_unbroken_one(
    tmp_path: Path, device_run: list[str], unbroken: Path, number: signal.Signals
) -> None:
    folder, words = tmp_path / "broken", [*device_run, *SIXTY_STEPS, *DROPOUT]
    assert state_at_end(in_a_child(folder, words, broken_at=(31, number))) == "interrupted"
    assert state_at_end(in_a_child(folder, words)) == "finished"
    assert_same_end(folder, unbroken)
