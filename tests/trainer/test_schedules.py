"""Rates step by step, against torch's schedulers and closed forms."""

import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, ReduceLROnPlateau

from trainer.config.schedule import Constant, Cosine, Piecewise, ReduceOnPlateau, Schedule
from trainer.schedules import RateSchedule


def sgd(lr: float = 0.4) -> torch.optim.SGD:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)


def rates(config: Schedule, *, epochs: int, steps_per_epoch: int, lr: float = 0.4) -> list[float]:
    optimizer = sgd(lr)
    schedule = RateSchedule(config, optimizer, epochs=epochs, steps_per_epoch=steps_per_epoch)
    found: list[float] = []
    for step in range(epochs * steps_per_epoch):
        schedule.set_rate(step)
        found.append(optimizer.param_groups[0]["lr"])
    return found


def test_cosine_equals_torch_at_every_step() -> None:
    optimizer = sgd()
    theirs = CosineAnnealingLR(optimizer, T_max=12, eta_min=0.04)
    expected: list[float] = []
    for _ in range(12):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        theirs.step()
    assert rates(Cosine(final_factor=0.1), epochs=3, steps_per_epoch=4) == pytest.approx(expected, rel=1e-9)


def test_piecewise_is_linear_between_knots_and_flat_outside() -> None:
    found = rates(Piecewise(epochs=(0.5, 1, 2), factors=(0, 1, 0.5)), epochs=3, steps_per_epoch=4, lr=1.0)
    assert found == pytest.approx([0, 0, 0, 0.5, 1, 0.875, 0.75, 0.625, 0.5, 0.5, 0.5, 0.5])


def test_warmup_multiplies_the_rate_by_a_ramp() -> None:
    assert rates(Constant(warmup_epochs=2), epochs=3, steps_per_epoch=2, lr=1.0) == pytest.approx(
        [0, 0.25, 0.5, 0.75, 1, 1]
    )


@pytest.mark.parametrize("patience", [0, 2])
@pytest.mark.parametrize("cooldown", [0, 3])
def test_plateau_equals_torch(patience: int, cooldown: int) -> None:
    draw = torch.Generator().manual_seed(patience * 10 + cooldown)
    losses = (1 / torch.arange(1, 60) + 0.2 * torch.rand(59, generator=draw)).tolist()
    config = ReduceOnPlateau(factor=0.5, patience=patience, cooldown=cooldown, min_factor=0.01)
    ours, theirs = sgd(), sgd()
    schedule = RateSchedule(config, ours, epochs=60, steps_per_epoch=1)
    reference = ReduceLROnPlateau(theirs, factor=0.5, patience=patience, cooldown=cooldown, min_lr=0.4 * 0.01)
    for epoch, loss in enumerate(losses):
        schedule.epoch_ended(loss)
        reference.step(loss)
        schedule.set_rate(epoch + 1)
        assert ours.param_groups[0]["lr"] == pytest.approx(theirs.param_groups[0]["lr"])
    assert theirs.param_groups[0]["lr"] < 0.2  # the losses did make it cut


def test_a_plateau_resumed_in_the_middle_goes_on_the_same() -> None:
    config = ReduceOnPlateau(patience=1, cooldown=1)
    whole = RateSchedule(config, sgd(), epochs=20, steps_per_epoch=1)
    for _ in range(7):
        whole.epoch_ended(1.0)
    later = RateSchedule(config, sgd(), epochs=20, steps_per_epoch=1)
    later.load_state_dict(whole.state_dict())
    for _ in range(7):
        whole.epoch_ended(1.0)
        later.epoch_ended(1.0)
        assert later.factor(0) == whole.factor(0)
    assert whole.factor(0) < 0.5
