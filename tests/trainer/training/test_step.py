"""One step: what it computes of parameters that have stopped learning."""

from pathlib import Path
from typing import Any

import pytest
import torch
from run_ends import differing

from models.layers import PatchWhitening
from trainer.config import load_config
from trainer.training.run import start_run
from trainer.training.schedules import RateSchedule
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
        layers = (layer for layer in step._parts.model.modules() if isinstance(layer, PatchWhitening))
        found.extend(layer.bias is not None and layer.bias.grad is not None for layer in layers)
        update(step)

    monkeypatch.setattr(Step, "update", noted)
    return found


def trained(words: list[str], small_run: list[str], folder: Path) -> dict[str, Any]:
    """Return the checkpoint of a run."""
    overrides = [word for word in small_run if not word.startswith("model.")] + ENDING + words
    start_run(load_config(overrides).config, runs=folder.parent, name=folder.name)
    return load_checkpoint(folder / "checkpoint.pt")


def test_a_bias_whose_rate_has_ended_costs_no_gradient_and_changes_no_weight(
    tmp_path: Path, small_run: list[str], with_bias_gradient: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = trained([], small_run, tmp_path / "ended")["model"]
    assert with_bias_gradient == [True] * 3 + [False] * 9
    monkeypatch.setattr(RateSchedule, "ended", property(lambda _: (), lambda *_: None), raising=False)  # as before
    plain = trained([], small_run, tmp_path / "all")["model"]
    assert all(torch.equal(ours[name], value) for name, value in plain.items())


@pytest.mark.parametrize(
    ("words", "still"), [(["probe.drift.every=4"], [4, 8]), (["train.clip_grad_norm=1"], [*range(3, 12)])]
)
def test_it_has_a_gradient_for_those_who_look(
    tmp_path: Path, small_run: list[str], with_bias_gradient: list[bool], words: list[str], still: list[int]
) -> None:
    trained(words, small_run, tmp_path / "a")
    assert [step for step, found in enumerate(with_bias_gradient) if found] == [0, 1, 2, *still]


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["optimizer.name=muon", "optimizer.renormalise=true", "optimizer.head.end_epoch=0.5"],
        ["optimizer.name=timm/madgrad"],  # moves a weight that has a gradient at a rate of 0
    ],
)
def test_a_probe_that_looks_changes_nothing(tmp_path: Path, small_run: list[str], words: list[str]) -> None:
    trained(words, small_run, tmp_path / "plain")
    trained([*words, "probe.drift.every=4"], small_run, tmp_path / "probed")
    assert not differing(tmp_path / "plain", tmp_path / "probed", apart_from=("/config/probe", "/probes"))


ONLY_A_HEAD = """
from torch import nn

class Net(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.frozen = nn.Conv2d(3, 4, 3, bias=False).requires_grad_(False)
        self.head = nn.Linear(4, num_classes, bias=False)

    def forward(self, x):
        return self.head(self.frozen(x).mean((2, 3)))
"""


def test_a_network_whose_rates_have_all_ended_trains_on(
    tmp_path: Path, small_run: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(ONLY_A_HEAD)
    words = [word for word in small_run if not word.startswith("model.")]
    words += ["model.name=net.py:Net", "optimizer.head.end_epoch=0.5", "train.epochs=2"]
    assert start_run(load_config(words).config, runs=tmp_path, name="a").status == "finished"
