"""A run whose steps are replayed as CUDA graphs has the bits of one whose steps are not (B1 of the review for CUDA)."""

import signal
from pathlib import Path

import pytest
import torch
from on_device import NARROW, ON_CPU, as_in_a_run, in_a_child, loop_of, only_on_cuda, state_at_end
from run_ends import assert_same_end, differing, rows_of
from torch import Tensor

from trainer.sweep.child import warm_up

pytestmark = pytest.mark.gpu

_FORTY_STEPS = ["train.batch_size=30", "train.epochs=2"]  # an epoch of 640 images ends with a batch of 10
_RECORDED = "train.graphs=true"
_VGG = ["model.name=vgg_a", "model.dropout=0.3"] if not ON_CPU else ["model.name=handmade_mlp", "model.dropout=0.3"]
_RUNS = {
    "resnet18": ["model.name=resnet18"] if not ON_CPU else NARROW,
    "fastresnet9": [*([] if not ON_CPU else NARROW), "model.ghost_size=10"],  # three groups of a batch, at once
    "averages": [*_VGG, "recipe=none", "train.ema.decay=0.99", "train.ema.every=5", "optimizer.lookahead.steps=5"],
    "probes": [*_VGG, "recipe=none", "probe.walk.every=7", "probe.drift.every=1", "probe.noise.every=6"],
    "muon": [*(NARROW if ON_CPU else []), "optimizer.name=muon", "train.clip_grad_norm=1", "train.accumulate=2"],
    "adam": [*_VGG, "recipe=none", "optimizer.name=adamw", "augment.mix.name=mixup", "loss.l1=1e-6"],
}


@pytest.fixture(autouse=True, scope="module")
def server() -> None:
    warm_up()


@pytest.mark.parametrize("name", _RUNS)
def test_a_recorded_run_has_the_bits_of_one_that_is_not(tmp_path: Path, device_run: list[str], name: str) -> None:
    words = [*device_run, *_FORTY_STEPS, *_RUNS[name]]
    children = [in_a_child(tmp_path / "plain", words), in_a_child(tmp_path / "recorded", [*words, _RECORDED])]
    assert [state_at_end(child) for child in children] == ["finished", "finished"]
    assert rows_of(tmp_path / "plain") == rows_of(tmp_path / "recorded")
    assert not differing(tmp_path / "plain", tmp_path / "recorded", apart_from=("/config/train/graphs",))


def test_a_recorded_run_that_is_killed_and_resumed_ends_with_the_same_bits(
    tmp_path: Path, device_run: list[str]
) -> None:
    words = [*device_run, *_FORTY_STEPS, *_RUNS["averages"], _RECORDED]
    assert state_at_end(in_a_child(tmp_path / "unbroken", words)) == "finished"
    assert state_at_end(in_a_child(tmp_path / "broken", words, broken_at=(33, signal.SIGTERM))) == "interrupted"
    assert state_at_end(in_a_child(tmp_path / "broken", words)) == "finished"
    assert_same_end(tmp_path / "broken", tmp_path / "unbroken")


@only_on_cuda("CUDA alone has graphs")
def test_a_run_whose_recording_fails_trains_as_before(
    device_run: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Its loss waits for the device, which a capture does not allow. Its dropout's generator is captured, too."""
    words = [*device_run, *_FORTY_STEPS, *_RUNS["averages"]]
    plain, broken = loop_of(words), loop_of([*words, _RECORDED])
    loss = broken.parts.loss_fn

    def waiting(logits: Tensor, targets: Tensor) -> Tensor:
        if torch.cuda.is_current_stream_capturing():
            logits.sum().item()
        return loss(logits, targets)

    object.__setattr__(broken.parts, "loss_fn", waiting)
    for loop in (plain, broken):
        with as_in_a_run(loop):
            assert loop.fit().status == "finished"
    assert "train.graphs: this run's steps cannot be recorded" in capsys.readouterr().err
    ours, theirs = (loop.parts.evaluated.state_dict() for loop in (plain, broken))
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)


@only_on_cuda("CUDA alone has graphs")
@pytest.mark.parametrize("name", _RUNS)
def test_each_kind_of_batch_is_recorded(device_run: list[str], name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Else the tests above compare a run with itself."""
    loop = loop_of([*device_run, *_FORTY_STEPS, "train.epochs=4", *_RUNS[name], _RECORDED])
    with as_in_a_run(loop):
        assert loop.fit().status == "finished"
    assert len(loop.step_source.recorded) == 2
    assert "train.graphs" not in capsys.readouterr().err
