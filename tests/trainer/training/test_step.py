"""One step: what it computes of parameters that have stopped learning."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from models.layers import PatchWhitening
from trainer.config import load_config
from trainer.training.parts import Parts
from trainer.training.run import start_run
from trainer.training.step import Step
from trainer.training.stored import load_checkpoint

ENDING = [
    "model.name=airbench94", "model.widths=[4,4,4]", "data.image_size=24", "optimizer.name=sgd", "train.epochs=2",
    "optimizer.first_bias.end_epoch=0.5", "optimizer.first_bias.lr_scale=2",
]  # fmt: skip


@pytest.fixture
def with_bias_gradient(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each step has found a gradient of the bias of the whitening."""
    found: list[bool] = []
    update = Step.update

    def noted(step: Step) -> None:
        layers: Iterator[nn.Module] = step._parts.model.modules()
        found.extend(layer.bias.grad is not None for layer in layers if isinstance(layer, PatchWhitening))  # pyright: ignore[reportOptionalMemberAccess]
        update(step)

    monkeypatch.setattr(Step, "update", noted)
    return found


def trained(words: list[str], small_run: list[str], runs: Path) -> dict[str, torch.Tensor]:
    overrides = [word for word in small_run if not word.startswith("model.")] + ENDING + words
    folder = start_run(load_config(overrides).config, runs=runs).folder
    return load_checkpoint(folder / "checkpoint.pt")["model"]


def test_a_bias_whose_rate_has_ended_costs_no_gradient_and_changes_no_weight(
    tmp_path: Path, small_run: list[str], with_bias_gradient: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = trained([], small_run, tmp_path / "ended")
    assert with_bias_gradient == [True] * 3 + [False] * 9
    monkeypatch.setattr(Parts, "learning", None)
    assert all(torch.equal(weights[name], value) for name, value in trained([], small_run, tmp_path / "all").items())


@pytest.mark.parametrize(
    ("words", "still"), [(["probe.drift.every=4"], [4, 8]), (["train.clip_grad_norm=1"], [*range(3, 12)])]
)
def test_it_has_a_gradient_where_that_counts(
    tmp_path: Path, small_run: list[str], with_bias_gradient: list[bool], words: list[str], still: list[int]
) -> None:
    trained(words, small_run, tmp_path)
    assert [step for step, found in enumerate(with_bias_gradient) if found] == [0, 1, 2, *still]
