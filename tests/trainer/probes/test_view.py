"""The loop's view of a step: the same objective again, bit for bit, and the next weights."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from trainer.probes.untouched import untouched
from trainer.protocols import Record, View
from trainer.training.loop import Loop
from trainer.training.parts import Parts

SMALL = ["model.name=handmade_cnn", "model.channels=[4,4]", "model.dropout=0.4", "schedule.name=constant"]


class Looker:
    """A probe that passes each view to a function."""

    name = "looker"
    clocked_apart = True

    def __init__(self, look: Callable[[View], Any]) -> None:
        self.look = look

    def due(self, step: int) -> bool:
        return True

    def measure(self, view: View) -> Mapping[str, Tensor | float]:
        self.look(view)
        return {}

    def state_dict(self) -> Mapping[str, Any]:
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...


class Rows:
    """A sink that keeps what probes measured."""

    name = "rows"

    def __init__(self) -> None:
        self.found: list[Mapping[str, float]] = []

    def log(self, record: Record) -> None:
        self.found.append(record.metrics)

    def progress(self, progress: Any) -> None: ...
    def start(self, run: Any) -> None: ...
    def memory(self) -> Mapping[str, Any]:
        return {}

    def finish(self, status: Any, summary: Any) -> None: ...


def steps(parts: Parts, count: int, sink: Rows | None = None) -> Loop:
    loop = Loop(parts, [sink] if sink else [], keep=lambda *_: None, stop_requested=lambda: False)
    loop.parts.model.train()
    for images, targets in list(parts.batches.epoch(0))[:count]:
        loop.train_batch(images, targets)
    loop.flush_probes()
    return loop


@pytest.mark.parametrize(
    "overrides",
    [["train.accumulate=3"], ["loss.l1=0.01", "train.clip_grad_norm=0.1"], ["train.precision=bfloat16"]],
    ids=lambda overrides: overrides[0],
)
def test_the_objective_and_its_gradient_can_be_computed_again_bit_for_bit(
    parts_of: Callable[..., Any], overrides: list[str]
) -> None:
    _, parts = parts_of([*SMALL, *overrides])
    looked: list[bool] = []

    def look(view: View) -> None:
        with untouched(view.model):
            for _ in range(2):
                loss, gradient = view.loss_and_gradient()
                looked.append(torch.equal(loss, view.loss))
                looked.extend(torch.equal(a, b) for a, b in zip(gradient, view.gradient, strict=True))

    steps(dataclasses.replace(parts, probes=[Looker(look)]), 2)
    assert looked and all(looked)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw", "adagrad", "rmsprop", "muon", "timm/lion"])
@pytest.mark.parametrize("more", [[], ["optimizer.lookahead.steps=2", "train.clip_grad_norm=0.1"]], ids=["", "more"])
def test_the_next_weights_are_those_that_the_step_leaves(
    parts_of: Callable[..., Any], optimizer: str, more: list[str]
) -> None:
    _, parts = parts_of([*SMALL, f"optimizer.name={optimizer}", "optimizer.weight_decay=0.01", *more])
    foretold: list[tuple[Tensor, ...]] = []
    probe = Looker(lambda view: foretold.append(view.next_parameters()))
    loop = Loop(dataclasses.replace(parts, probes=[probe]), [], keep=lambda *_: None, stop_requested=lambda: False)
    for images, targets in list(parts.batches.epoch(0))[:3]:
        before = [p.detach().clone() for p in parts.model.parameters()]
        loop.train_batch(images, targets)
        after = [p.detach() for p in parts.model.parameters()]
        assert all(torch.equal(a, b) for a, b in zip(foretold[-1], after, strict=True))
        assert not all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


class HalfUsed(nn.Module):
    """A network whose second layer is trained and never called."""

    def __init__(self) -> None:
        super().__init__()
        self.used, self.unused = nn.Linear(3 * 8 * 8, 2), nn.Linear(2, 2)

    def forward(self, images: Tensor) -> Tensor:
        return self.used(images.flatten(1))


def test_a_parameter_without_a_gradient_is_passed_over_by_the_optimizer_here_too(parts_of: Callable[..., Any]) -> None:
    _, parts = parts_of(SMALL)
    net, foretold = HalfUsed(), []
    optimizer = torch.optim.SGD(net.parameters(), 0.1, weight_decay=0.5)
    probe = Looker(lambda view: foretold.append(view.next_parameters()))
    steps(dataclasses.replace(parts, model=net, forward=net, ema=None, optimizer=optimizer, probes=[probe]), 1)
    assert all(torch.equal(a, b) for a, b in zip(foretold[0], net.parameters(), strict=True))


def test_a_scaled_loss_is_shown_unscaled(parts_of: Callable[..., Any]) -> None:
    """Scaled as with float16. A scale that is a power of two changes no bit of float32."""
    overrides = [*SMALL, "probe.drift.every=1", "probe.walk.every=1", "probe.shift.every=1"]
    found: list[list[Mapping[str, float]]] = []
    for scale in (None, 1024.0):
        _, parts = parts_of(overrides)
        scaler = torch.amp.GradScaler("cpu", init_scale=scale or 1.0, enabled=scale is not None)
        steps(dataclasses.replace(parts, scaler=scaler), 3, sink := Rows())
        found.append(sink.found)
    assert len(found[0]) == 3
    assert found[0] == found[1]


def test_whatever_is_done_to_a_network_inside_is_undone() -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout()).train()
    net[0].eval()
    net(torch.randn(2, 1, 4, 4)).sum().backward()
    gradients = [p.grad for p in net.parameters()]
    before = {key: value.clone() for key, value in net.state_dict().items()}
    state = torch.get_rng_state()

    def spoil() -> None:
        with untouched(net):
            assert all(p.grad is None for p in net.parameters())
            net.eval()
            net.train()
            net(torch.randn(2, 1, 4, 4)).sum().backward()
            with torch.no_grad():
                for p in net.parameters():
                    p.zero_()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        spoil()
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert all(p.grad is g for p, g in zip(net.parameters(), gradients, strict=True))
    assert [module.training for module in net] == [False, True, True]
    assert torch.equal(torch.get_rng_state(), state)
