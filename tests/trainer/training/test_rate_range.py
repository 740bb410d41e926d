"""The range test on curves whose answer is known, and on a network."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from command_line import run_here
from PIL import Image

from trainer.config import load_config
from trainer.training import rate_range
from trainer.training.rate_range import measure_rate_range, rates, read_curve, smooth
from trainer.training.rate_range_chart import draw_rate_range
from trainer.training.step import Step

STEPS = 120


def falling_then_rising(bottom: float) -> list[tuple[float, float]]:
    """Return a parabola of the logarithm of the rate around `bottom`, from 2.3 at the lowest rates."""
    return [(rate, min(2.3, 1 + 0.3 * math.log10(rate / bottom) ** 2)) for rate in rates(1e-5, 10, STEPS)]


def test_rates_rise_by_one_factor_between_the_ends_that_are_asked_for() -> None:
    found = rates(1e-4, 1.0, 5)
    assert found == pytest.approx([1e-4, 1e-3, 1e-2, 1e-1, 1.0])


def test_a_loss_that_stays_is_its_own_smoothed_loss() -> None:
    points, diverged = smooth((rate, 2.5) for rate in rates(1e-3, 1, 30))
    assert not diverged
    assert [point.smoothed for point in points] == pytest.approx([2.5] * 30)


def test_the_suggestion_is_a_tenth_of_the_rate_at_the_bottom() -> None:
    bottom = 0.1
    points, diverged = smooth(falling_then_rising(bottom))
    found = read_curve(points, diverged=diverged)
    assert found.lowest is not None and found.suggested is not None and found.steepest is not None
    assert bottom <= found.lowest < 4 * bottom  # smoothing lags behind by nine of twenty points a decade
    assert found.suggested == pytest.approx(found.lowest / 10)
    assert 1e-5 < found.steepest < found.lowest


@pytest.mark.parametrize(
    ("losses", "why"),
    [
        ([2.3 + 0.05 * (-1) ** i for i in range(STEPS)], "did not fall by 3 times what it scatters"),
        ([2.3 - 0.01 * i for i in range(STEPS)], "still falls at the highest rate; give a higher --until"),
        ([math.nan], "the loss is not finite at the lowest rate; give a lower --from"),
    ],
)
def test_without_a_bottom_there_is_no_suggestion_and_still_a_picture(
    tmp_path: Path, losses: list[float], why: str
) -> None:
    points, diverged = smooth(zip(rates(1e-5, 10, STEPS), losses, strict=False))
    found = read_curve(points, diverged=diverged)
    assert (found.lowest, found.steepest, found.suggested) == (None, None, None)
    assert why in found.why_none
    assert json.dumps(found.as_json(), allow_nan=False)
    draw_rate_range(found, tmp_path / "range.png", title="none")  # before: of no width, or the least of no numbers
    with Image.open(tmp_path / "range.png") as picture:
        assert picture.width > 1000


@pytest.mark.parametrize("last", [1000.0, math.nan, math.inf])
def test_the_test_ends_where_the_loss_diverges(last: float) -> None:
    points, diverged = smooth([(0.1, 2.0), (0.2, 1.9), (0.3, last), (0.4, 1.0)])
    assert [point.rate for point in points] == [0.1, 0.2, 0.3] and diverged


def test_a_loss_below_zero_is_no_divergence() -> None:
    """Before: four times a number below 0 is lower still, so the first step ended the test."""
    points, diverged = smooth([(0.1, -1.0), (0.2, -2.0), (0.3, -3.0), (0.4, 100.0), (0.5, -3.0)])
    assert len(points) == 4 and diverged


def config_of(small_run: list[str], *more: str) -> Any:
    return load_config([*small_run, *more]).config


def test_a_network_gets_every_rate_and_the_same_numbers_again(small_run: list[str]) -> None:
    asked: dict[str, Any] = {"low": 1e-6, "high": 1e-4, "steps": 20}
    found = measure_rate_range(config_of(small_run), **asked)
    assert [point.rate for point in found.points] == pytest.approx(rates(**asked))
    assert found == measure_rate_range(config_of(small_run), **asked)
    assert not found.diverged


def test_at_a_huge_rate_a_network_diverges_and_the_rest_is_not_run(small_run: list[str]) -> None:
    found = measure_rate_range(
        config_of(small_run, "optimizer.nesterov=false", "optimizer.momentum=0"), low=1e-5, high=1e9, steps=30
    )
    assert found.diverged
    assert len(found.points) < 30
    assert json.dumps(found.as_json(), allow_nan=False)


def test_the_rate_of_a_part_rises_in_proportion(small_run: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[float]] = []

    class Watched(Step):
        def update(self) -> None:
            seen.append(sorted({float(group["lr"]) for group in self._parts.optimizer.param_groups}))
            super().update()

    monkeypatch.setattr(rate_range, "Step", Watched)
    measure_rate_range(config_of(small_run, "optimizer.head.lr_scale=3"), low=1e-6, high=1e-5, steps=20)
    assert [pair[1] / pair[0] for pair in seen] == pytest.approx([3.0] * 20)
    assert [pair[0] for pair in seen] == pytest.approx(rates(1e-6, 1e-5, 20))


def test_the_command_draws_prints_and_leaves_nothing_else(
    small_run: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["lr-find", *small_run, "--until", "1e6", "--steps", "40"]
    assert run_here([*words, "--to", "range.svg"]) == 0
    out, err = capfd.readouterr()
    assert out.splitlines()[0] == "rate       loss, smoothed"
    assert out.splitlines()[-1] == "range.svg"
    assert "optimizer.lr=" in out or "no suggestion: " in out
    assert "not which rate ends best" in err
    assert [path.name for path in tmp_path.iterdir()] == ["range.svg"]
    assert "Range test: fastresnet9, sgd" in (tmp_path / "range.svg").read_text()
    assert run_here([*words, "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert found["points"][0]["rate"] == pytest.approx(1e-5)


OPTIMIZERS = (
    "name=muon lookahead.steps=3",
    "name=muon orthogonalise=filters rest=adamw norm_and_bias_lr_scale=8",
    "name=adam head.lr_scale=2 norm_and_bias_lr_scale=64",
)


@pytest.mark.parametrize("words", OPTIMIZERS)
def test_every_group_of_every_optimizer_gets_its_share(
    small_run: list[str], monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    """The rates are those of the optimizers inside of a wrapper, at the time of their step."""
    seen: list[list[float]] = []

    class Watched(Step):
        def update(self) -> None:
            optimizer: Any = self._parts.optimizer
            inner = getattr(optimizer, "optimizer", optimizer)
            parts = getattr(inner, "parts", [inner])
            seen.append([float(group["lr"]) for part in parts for group in part.param_groups])
            super().update()

    monkeypatch.setattr(rate_range, "Step", Watched)
    keys = [f"optimizer.{word}" for word in words.split()]
    config = config_of([word for word in small_run if not word.startswith("optimizer.")], *keys)
    found = measure_rate_range(config, low=1e-6, high=1e-4, steps=20)
    factors = [rate / config.optimizer.lr for rate in rates(1e-6, 1e-4, 20)]
    base = [each / factors[0] for each in seen[0]]
    assert max(base) >= config.optimizer.lr * (1 - 1e-9)
    for factor, each in zip(factors, seen, strict=True):
        assert each == pytest.approx([factor * one for one in base])
    assert len({point.loss for point in found.points}) > 10


def test_what_an_own_network_prints_is_no_result(
    small_run: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("loud.py").write_text(
        "from torch import nn\n"
        "class Loud(nn.Module):\n"
        "    def __init__(self, *, num_classes: int = 10) -> None:\n"
        "        super().__init__()\n"
        "        self.last = nn.Linear(3 * 8 * 8, num_classes)\n"
        "    def forward(self, x):\n"
        "        print('LOUD')\n"
        "        return self.last(x.flatten(1))\n"
    )
    words = [*(word for word in small_run if not word.startswith("model.")), "model.name=loud.py:Loud"]
    assert run_here(["lr-find", *words, "--steps", "20", "--json"]) == 0
    out, err = capfd.readouterr()
    assert json.loads(out)["points"] and "LOUD" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--from", "1", "--until", "0.1"], "--until: 0.1: expected a rate above --from 1, which is above 0"),
        (["--until", "1e300"], "--until: 1e+300: a rate is at most 1e+10"),
        (["--until", "inf"], "--until: inf: a rate is at most 1e+10"),
        (["--until", "nan"], "--until: nan: expected a rate above --from 1e-05, which is above 0"),
        (["--from", "1e-320"], "--from: 9.99989e-321: too far below --until 10"),
        (["--from", "0"], "--until: 10: expected a rate above --from 0, which is above 0"),
        (["--steps", "3"], "--steps: 3: expected at least 20"),
        (["--to", "nowhere/a.svg"], "--to: nowhere/a.svg: there is no folder nowhere"),
        (
            ["train.batch_size=auto"],
            "train.batch_size: a config has a number; `trainer train --batch-size auto` measures one",
        ),
        (["--to", "a.pdf"], "--to: a.pdf: a chart is written as .png, .svg or .html"),
        (["optimizer.lrr=1"], "optimizer.lrr: sgd has no such field; did you mean 'lr'?"),
        (["train.devices=2"], "train.devices: 2: `trainer train` alone takes several; set train.devices=1"),
    ],
)
def test_what_cannot_be_is_one_line(
    small_run: list[str], words: list[str], said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run_here(["lr-find", *small_run, *words]) == 2
    assert capfd.readouterr().err == f"error: {said}\n"
