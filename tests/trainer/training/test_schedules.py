"""Rates step by step, against torch's schedulers and closed forms."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.optim import lr_scheduler

from trainer.config import load_config
from trainer.config.schedule import (
    Constant,
    Cosine,
    CosineRestarts,
    Cyclic,
    Exponential,
    Linear,
    MultiStep,
    OneCycle,
    Piecewise,
    Polynomial,
    ReduceOnPlateau,
    Schedule,
    Step,
)
from trainer.config.train import BatchSchedule
from trainer.data.steps import Steps
from trainer.errors import ConfigError
from trainer.training.schedules import RateSchedule, build_curve

LR, EPOCHS = 0.4, 12


def sgd(lr: float = LR) -> torch.optim.SGD:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)


def rates(config: Schedule, *, epochs: int, steps_per_epoch: int, lr: float = LR) -> list[float]:
    optimizer = sgd(lr)
    schedule = RateSchedule(config, optimizer, epochs=epochs, steps=Steps(steps_per_epoch, 1))
    found: list[float] = []
    for step in range(epochs * steps_per_epoch):
        schedule.set_rate(step)
        found.append(optimizer.param_groups[0]["lr"])
    return found


def torch_rates(name: str, arguments: dict[str, Any], *, steps_per_epoch: int, interval: str) -> list[float]:
    """The rate of each step, torch's scheduler being stepped after each step or after each epoch."""
    optimizer = sgd()
    scheduler = getattr(lr_scheduler, name)(optimizer, **arguments)
    found: list[float] = []
    for step in range(1, EPOCHS * steps_per_epoch + 1):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if interval == "step" or step % steps_per_epoch == 0:
            scheduler.step()
    return found


def ours_and_torchs(name: str, draw: st.DataObject, ticks_per_epoch: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Drawn knobs of one of our schedules, and the arguments of torch's that mean the same, whose unit is a tick."""
    total = EPOCHS * ticks_per_epoch

    def number(low: float, high: float) -> float:
        return draw.draw(st.floats(low, high))

    ticks, ticks_down = (draw.draw(st.integers(1, total + 3)) for _ in range(2))  # up to past the run's end
    epochs = ticks / ticks_per_epoch
    gamma, low, start = number(0.3, 1), number(0, 0.9), number(0.01, 1)
    gamma_a_tick = gamma ** (1 / ticks_per_epoch)
    match name:
        case "StepLR":
            return {"every_epochs": epochs, "gamma": gamma}, {"step_size": ticks, "gamma": gamma}
        case "MultiStepLR":
            cuts = sorted(draw.draw(st.sets(st.integers(1, total + 3), min_size=1, max_size=4)))
            milestones = [cut / ticks_per_epoch for cut in cuts]
            return {"milestones": milestones, "gamma": gamma}, {"milestones": cuts, "gamma": gamma}
        case "LinearLR":
            ours = {"start_factor": start, "final_factor": low, "over_epochs": epochs}
            return ours, {"start_factor": start, "end_factor": low, "total_iters": ticks}
        case "ExponentialLR":
            return {"gamma": gamma}, {"gamma": gamma_a_tick}
        case "CosineAnnealingLR":
            return {"final_factor": low, "over_epochs": epochs}, {"T_max": ticks, "eta_min": LR * low}
        case "CosineAnnealingWarmRestarts":
            longer = draw.draw(st.integers(1, 3))
            ours = {"first_cycle_epochs": epochs, "cycle_multiplier": longer, "final_factor": low}
            return ours, {"T_0": ticks, "T_mult": longer, "eta_min": LR * low}
        case "OneCycleLR":
            three = draw.draw(st.booleans())
            # torch divides by zero where the way up is one tick
            up = draw.draw(st.floats(0, 0.5 if three else 0.99).filter(lambda share: share * total != 1))
            ours = {
                "pct_start": up,
                "three_phase": three,
                "div_factor": number(1, 50),
                "final_div_factor": number(1, 1e5),
                "anneal_strategy": draw.draw(st.sampled_from(["cos", "linear"])),
            }
            return ours, {**ours, "max_lr": LR, "total_steps": total, "cycle_momentum": False}
        case "CyclicLR":
            mode = draw.draw(st.sampled_from(["triangular", "triangular2", "exp_range"]))
            ours = {"low_factor": low, "up_epochs": epochs, "mode": mode}
            theirs = {"base_lr": LR * low, "max_lr": LR, "step_size_up": ticks, "mode": mode, "cycle_momentum": False}
            if mode == "exp_range":
                ours["gamma"], theirs["gamma"] = gamma, gamma_a_tick
            if draw.draw(st.booleans()):
                ours["down_epochs"], theirs["step_size_down"] = ticks_down / ticks_per_epoch, ticks_down
            return ours, theirs
        case _:
            power = number(0.1, 3)
            return {"power": power, "over_epochs": epochs}, {"power": power, "total_iters": ticks}


@pytest.mark.parametrize("interval", ["step", "epoch"])
@pytest.mark.parametrize(
    ("kind", "theirs"),
    [
        (Step, "StepLR"),
        (MultiStep, "MultiStepLR"),
        (Linear, "LinearLR"),
        (Exponential, "ExponentialLR"),
        (Cosine, "CosineAnnealingLR"),
        (CosineRestarts, "CosineAnnealingWarmRestarts"),
        (OneCycle, "OneCycleLR"),
        (Cyclic, "CyclicLR"),
        (Polynomial, "PolynomialLR"),
    ],
)
@settings(max_examples=50)
@given(draw=st.data(), steps_per_epoch=st.integers(1, 7))
def test_the_rate_at_every_step_is_torchs(
    kind: type[Any], theirs: str, interval: str, draw: st.DataObject, steps_per_epoch: int
) -> None:
    knobs, arguments = ours_and_torchs(theirs, draw, steps_per_epoch if interval == "step" else 1)
    found = rates(kind(interval=interval, **knobs), epochs=EPOCHS, steps_per_epoch=steps_per_epoch)
    expected = torch_rates(theirs, arguments, steps_per_epoch=steps_per_epoch, interval=interval)
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-12 * LR)


@pytest.mark.parametrize("cooldown", [0, 3])
@pytest.mark.parametrize("patience", [0, 2])
def test_a_plateaus_rate_is_torchs(patience: int, cooldown: int) -> None:
    draw = torch.Generator().manual_seed(patience * 10 + cooldown)
    losses = (1 / torch.arange(1, 60) + 0.2 * torch.rand(59, generator=draw)).tolist()
    knobs: dict[str, Any] = {"factor": 0.5, "patience": patience, "cooldown": cooldown, "threshold": 0.01}
    ours, theirs = sgd(), sgd()
    schedule = RateSchedule(ReduceOnPlateau(min_factor=0.01, **knobs), ours, epochs=60, steps=Steps(3, 1))
    reference = lr_scheduler.ReduceLROnPlateau(theirs, min_lr=LR * 0.01, eps=0, **knobs)
    for epoch, loss in enumerate(losses):
        for step in range(3 * epoch, 3 * epoch + 3):
            schedule.set_rate(step)
            assert ours.param_groups[0]["lr"] == pytest.approx(theirs.param_groups[0]["lr"], rel=1e-9)
        schedule.epoch_ended(loss)
        reference.step(loss)
    assert theirs.param_groups[0]["lr"] < LR / 2  # the losses did make it cut


EVERY: list[Schedule] = [
    Constant(),
    Step(every_epochs=2),
    MultiStep(milestones=(3, 7.5)),
    Linear(),
    Exponential(),
    Cosine(),
    CosineRestarts(first_cycle_epochs=1.5, cycle_multiplier=2),
    OneCycle(),
    Cyclic(mode="exp_range", gamma=0.8),
    ReduceOnPlateau(patience=0, cooldown=1),
    Polynomial(),
    Piecewise(epochs=(0.5, 1, 10), factors=(0, 1, 0.5)),
]
each_schedule = pytest.mark.parametrize("config", EVERY, ids=lambda config: config.name)


@each_schedule
@pytest.mark.parametrize("cut", [1, 4, 7])
def test_a_run_resumed_in_the_middle_has_the_same_tail(config: Schedule, cut: int) -> None:
    warm = config.model_copy(update={"warmup_epochs": 5.0})

    def tail(schedule: RateSchedule, first: int) -> list[float]:
        found: list[float] = []
        for epoch in range(first, EPOCHS):
            found += [schedule.factor(step) for step in range(3 * epoch, 3 * epoch + 3)]
            schedule.epoch_ended(1.0)
        return found

    whole, broken, resumed = (RateSchedule(warm, sgd(), epochs=EPOCHS, steps=Steps(3, 1)) for _ in range(3))
    for _ in range(cut):
        broken.epoch_ended(1.0)
    resumed.load_state_dict(broken.state_dict())
    assert tail(resumed, cut) == tail(whole, 0)[3 * cut :]


@each_schedule
def test_a_warmup_multiplies_the_rate_by_a_ramp_step_by_step(config: Schedule) -> None:
    warm = config.model_copy(update={"warmup_epochs": 2.0})
    plain = rates(config, epochs=EPOCHS, steps_per_epoch=4)
    expected = [rate * min(1, step / 8) for step, rate in enumerate(plain)]
    assert rates(warm, epochs=EPOCHS, steps_per_epoch=4) == pytest.approx(expected, rel=1e-12)


@each_schedule
def test_a_factor_by_epochs_is_that_of_the_epochs_first_step(config: Schedule) -> None:
    by_epochs = config.model_copy(update={"interval": "epoch"})
    found = rates(by_epochs, epochs=EPOCHS, steps_per_epoch=4)
    assert found == [found[step - step % 4] for step in range(len(found))]


def test_curves_that_jump_and_the_exponential_move_by_epochs_unless_told_otherwise() -> None:
    assert [config.name for config in EVERY if config.interval == "epoch"] == [
        "step", "multistep", "exponential", "reduce_on_plateau",
    ]  # fmt: skip


@pytest.mark.parametrize("config", [Linear(), Cosine(), Polynomial(power=2)], ids=lambda config: config.name)
def test_without_a_length_a_decay_takes_the_run_and_ends_at_its_last_factor(config: Schedule) -> None:
    schedule = RateSchedule(config, sgd(), epochs=7, steps=Steps(3, 1))
    assert (schedule.factor(0), schedule.factor(21)) == (1, 0)


def test_one_cycle_peaks_at_the_rate_and_ends_where_it_is_told() -> None:
    found = rates(OneCycle(pct_start=0.25, div_factor=4, final_div_factor=10), epochs=4, steps_per_epoch=4, lr=1.0)
    assert (found[0], found[3], found[-1]) == pytest.approx((1 / 4, 1, 1 / 40))
    assert max(found) == found[3]


def test_one_cycle_whose_way_up_is_one_tick_starts_at_the_peak() -> None:
    assert rates(OneCycle(pct_start=0.25), epochs=4, steps_per_epoch=1, lr=1.0)[0] == 1


def test_piecewise_is_linear_between_knots_and_flat_outside() -> None:
    found = rates(Piecewise(epochs=(0.5, 1, 2), factors=(0, 1, 0.5)), epochs=3, steps_per_epoch=4, lr=1.0)
    assert found == pytest.approx([0, 0, 0, 0.5, 1, 0.875, 0.75, 0.625, 0.5, 0.5, 0.5, 0.5])


def test_piecewise_by_epochs_takes_the_knots_line_at_each_epochs_start() -> None:
    config = Piecewise(interval="epoch", epochs=(0.5, 1, 2), factors=(0, 1, 0.5))
    assert rates(config, epochs=4, steps_per_epoch=2, lr=1.0) == pytest.approx([0, 0, 1, 1, 0.5, 0.5, 0.5, 0.5])


@pytest.mark.parametrize(("length", "steps_per_epoch"), [(1.1, 10), (0.7, 10), (7 / 3, 3), (2000 / 391, 391)])
def test_a_jump_comes_at_the_step_that_was_meant(length: float, steps_per_epoch: int) -> None:
    cut = round(length * steps_per_epoch)
    for config in (
        Step(interval="step", every_epochs=length),
        MultiStep(interval="step", milestones=(length,)),
        CosineRestarts(first_cycle_epochs=length),
    ):
        found = rates(config, epochs=6, steps_per_epoch=steps_per_epoch, lr=1.0)
        jump = max(range(1, len(found)), key=lambda step: abs(found[step] - found[step - 1]))
        assert jump % cut == 0, config


def test_groups_keep_their_own_base_rates() -> None:
    weights = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
    optimizer = torch.optim.SGD([{"params": weights[:1], "lr": 1.0}, {"params": weights[1:], "lr": 64.0}])
    schedule = RateSchedule(Linear(), optimizer, epochs=4, steps=Steps(1, 1))
    schedule.set_rate(1)
    assert [group["lr"] for group in optimizer.param_groups] == [0.75, 48.0]


@given(draw=st.data(), step=st.integers(0, 10**6), epochs=st.integers(1, 1000), steps_per_epoch=st.integers(1, 1000))
def test_no_length_however_odd_makes_a_factor_outside_0_and_1(
    draw: st.DataObject, step: int, epochs: int, steps_per_epoch: int
) -> None:
    length, decay = draw.draw(st.floats(1e-3, 1e308)), draw.draw(st.floats(5e-324, 1))
    interval: Any = draw.draw(st.sampled_from(["step", "epoch"]))
    config: Schedule = draw.draw(
        st.sampled_from([
            Step(interval=interval, every_epochs=length, gamma=decay),
            MultiStep(interval=interval, milestones=(length,), gamma=decay),
            Linear(interval=interval, over_epochs=length),
            Exponential(interval=interval, gamma=decay),
            Cosine(interval=interval, over_epochs=length),
            CosineRestarts(interval=interval, first_cycle_epochs=length, cycle_multiplier=2),
            OneCycle(interval=interval, pct_start=draw.draw(st.floats(0, 0.5)), three_phase=True),
            Cyclic(interval=interval, up_epochs=length, mode="triangular2"),
            Polynomial(interval=interval, over_epochs=length),
        ])
    )  # fmt: skip
    factor = RateSchedule(config, sgd(), epochs=epochs, steps=Steps(steps_per_epoch, 1)).factor(step)
    assert -1e-12 <= factor <= 1 + 1e-12 and math.isfinite(factor)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("name=step every_epochs=0", "schedule.every_epochs: 0: input should be greater than"),
        ("name=step every_epochs=-3", "schedule.every_epochs: -3: input should be greater than"),
        ("name=step gamma=0", "schedule.gamma: 0: input should be greater than 0"),
        ("name=step gamma=2", "schedule.gamma: 2: input should be less than or equal to 1"),
        ("name=step interval=batch", "schedule.interval: 'batch' is not a choice; one of epoch, step"),
        ("name=step milestones=[1]", "schedule.milestones: step has no such field"),
        ("name=multistep milestones=[60,30]", "schedule.milestones: milestones must rise, got [60.0, 30.0]"),
        ("name=multistep milestones=[30,30]", "schedule.milestones: milestones must rise"),
        ("name=multistep milestones=[]", "schedule.milestones: []: tuple should have at least 1 item"),
        ("name=multistep milestones=[-1,3]", "schedule.milestones.0: -1: input should be greater than"),
        ("name=linear start_factor=1.5", "schedule.start_factor: 1.5: input should be less than or equal to 1"),
        ("name=exponential gamma=-0.5", "schedule.gamma: -0.5: input should be greater than 0"),
        ("name=cosine over_epochs=0", "schedule.over_epochs: 0: input should be greater than"),
        ("name=cosine warmup_epochs=-1", "schedule.warmup_epochs: -1: input should be greater than or equal to 0"),
        ("name=cosine_restarts cycle_multiplier=0", "schedule.cycle_multiplier: 0: input should be greater than 0"),
        ("name=cosine_restarts first_cycle_epochs=-1", "schedule.first_cycle_epochs: -1: input should be greater"),
        ("name=one_cycle pct_start=1", "schedule.pct_start: 1: input should be less than 1"),
        ("name=one_cycle div_factor=0", "schedule.div_factor: 0: input should be greater than or equal to 1"),
        ("name=one_cycle pct_start=0.6 three_phase=true", "schedule: three_phase=true needs pct_start <= 0.5"),
        ("name=cyclic up_epochs=0", "schedule.up_epochs: 0: input should be greater than"),
        ("name=cyclic low_factor=1", "schedule.low_factor: 1: input should be less than 1"),
        ("name=cyclic gamma=0.9", "schedule: gamma=0.9 needs mode=exp_range"),
        ("name=reduce_on_plateau interval=step", "schedule.interval: 'step' is not a choice; one of epoch"),
        ("name=reduce_on_plateau factor=0", "schedule.factor: 0: input should be greater than 0"),
        ("name=polynomial power=0", "schedule.power: 0: input should be greater than 0"),
        ("name=piecewise epochs=[0,2,1] factors=[0,1,1]", "schedule: epochs must rise from knot to knot"),
        ("name=piecewise epochs=[0,1] factors=[0]", "schedule: 2 epochs but 1 factors"),
        ("name=onecycle", "schedule.name: no schedule is called 'onecycle'; did you mean 'one_cycle'?"),
    ],
)  # fmt: skip
def test_an_impossible_knob_is_one_line_with_its_key(words: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config([f"schedule.{word}" for word in words.split()], recipe="none")
    (line,) = caught.value.problems
    assert line.startswith(said)


def test_a_line_ends_at_the_end_of_a_fractional_run() -> None:
    curve = build_curve(Linear(), epochs=2.5, ticks_per_epoch=4)
    assert [curve(tick) for tick in (0, 5, 9, 10)] == pytest.approx([1, 0.5, 0.1, 0])


def test_the_rate_goes_by_epochs_where_batches_grow() -> None:
    """16 images: epochs of 8, 8, 4 and 2 steps."""
    steps = Steps(16, 2, schedule=BatchSchedule(sizes=(4, 8), from_epochs=(2, 3)))
    schedule = RateSchedule(Linear(final_factor=0, warmup_epochs=0.5), sgd(), epochs=4, steps=steps)
    found = [schedule.factor(step) for step in (2, 8, 16, 18, 20, 21)]
    assert found == pytest.approx([0.5 * (1 - 0.25 / 4), 0.75, 0.5, 0.375, 0.25, 0.125])
    by_epochs = RateSchedule(Step(every_epochs=1, gamma=0.5, interval="epoch"), sgd(), epochs=4, steps=steps)
    assert [by_epochs.factor(step) for step in (7, 8, 19, 20)] == [1, 0.5, 0.25, 0.125]


@pytest.mark.parametrize(("recipe", "rise", "last"), [("speed95", 0.23, 0.07), ("speed96", 0.1, 0.0)])
def test_the_recipes_of_airbench_have_the_rates_of_its_code(recipe: str, rise: float, last: float) -> None:
    """legacy/airbench95.py and legacy/airbench96.py, get_lr. Before: speed96 had the rates of airbench95."""
    config = load_config(recipe=recipe).config
    per_epoch = 50_000 // config.train.batch_size
    total = round(config.train.epochs * per_epoch)
    up = int(total * rise)
    curve = build_curve(config.schedule, epochs=config.train.epochs, ticks_per_epoch=per_epoch)
    for step in range(total):
        fall = (step - up) / (total - up)
        expected = 0.2 + 0.8 * step / up if step < up else 1 - fall + last * fall
        assert curve(step) == pytest.approx(expected, abs=1e-9)
