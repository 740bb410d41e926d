"""Own parts as parts of a run: by a package's name, an optimizer, an augmentation, a probe."""

from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import torch
from own_parts import NET, SMALL, load, problems
from run_ends import assert_same_end, broken_at, rows_of
from torch import nn

from trainer.config import own as config_own
from trainer.runs.history import read_history
from trainer.training.run import resume_run, start_run


def test_a_package_gives_a_short_name_but_never_one_of_the_trainer_s(monkeypatch: pytest.MonkeyPatch) -> None:
    group = config_own.GROUPS["loss"]
    found = [EntryPoint(name, "torch.nn:MultiMarginLoss", group) for name in ("margin", "mse")]
    monkeypatch.setattr(config_own, "entry_points", lambda group: found if group == config_own.GROUPS["loss"] else [])
    config_own.packaged.cache_clear()
    try:
        config = load("model.name=lenet5", "loss.name=margin", "loss.margin=0.5")
        assert (
            config.loss.arguments == {"p": 1, "margin": 0.5, "weight": None} or config.loss.arguments["margin"] == 0.5
        )
        assert load("model.name=lenet5", "loss.name=mse").loss.model_dump()["scores"] == "logits"
        assert problems("model.name=lenet5", "loss.name=margn")[0].startswith("loss.name: no loss is called 'margn'")
    finally:
        config_own.packaged.cache_clear()


def test_torch_s_own_optimizer_is_built_with_its_default_rate(here: Path) -> None:
    config = load(*SMALL, "optimizer.name=torch.optim:Rprop", "optimizer.etas=[0.4,1.3]")
    assert config.optimizer.lr == 1e-2 and config.optimizer.arguments["etas"] == (0.4, 1.3)
    from trainer.training.optimizers import build_optimizer

    optimizer = build_optimizer(nn.Linear(2, 2), config.optimizer, fused=False)
    assert isinstance(optimizer, torch.optim.Rprop) and optimizer.param_groups[0]["etas"] == (0.4, 1.3)


def test_an_own_augmentation_draws_the_same_after_a_resume_inside_an_epoch(here: Path) -> None:
    from trainer.config.augment import Augment
    from trainer.data.batches import TrainingBatches
    from trainer.data.images import Split
    from trainer.data.steps import Steps

    (here / "own.py").write_text(
        "import torch\ndef flip(images, draw):\n"
        "    return torch.where(torch.rand(len(images), 1, 1, 1, generator=draw) < 0.5, 255 - images, images)\n"
    )
    images = torch.randint(256, (12, 3, 8, 8), dtype=torch.uint8)
    augment = Augment.model_validate({"extra": {"name": "own.py:flip"}})
    batches = TrainingBatches(Split(images, torch.arange(12)), augment, steps=Steps(12, 4), seed=0)
    whole = [each for each, _ in batches.epoch(1)]
    resumed = [each for each, _ in batches.epoch(1, start=1)]
    assert all(torch.equal(one, other) for one, other in zip(whole[1:], resumed, strict=True))
    plain = TrainingBatches(Split(images, torch.arange(12)), Augment(), steps=Steps(12, 4), seed=0)
    assert not any(torch.equal(one, other) for one, (other, _) in zip(whole, plain.epoch(1), strict=True))


def test_an_own_probe_changes_no_bit_of_the_run_whatever_it_does(here: Path) -> None:
    (here / "own.py").write_text(
        "import torch\ndef spoil(view):\n"
        "    for p in view.model.parameters(): p.data.zero_()\n"
        "    for g in view.gradient: g.zero_()\n"
        "    view.images.zero_(); torch.rand(3)\n"
        "    return {'loss': view.loss, 'three': 3}\n"
    )
    words = [*SMALL, "train.epochs=2"]
    start_run(load(*words), name="plain")
    start_run(load(*words, "probe.extra.name=own.py:spoil", "probe.extra.every=1"), name="probed")
    plain, probed = (read_history(Path("runs") / name) for name in ("plain", "probed"))
    ours = [row for row in probed.rows if "extra/loss" in row]
    assert len(ours) == 4 and {row["extra/three"] for row in ours} == {3}
    assert [row["train/loss"] for row in plain.having("train/loss")] == [
        row["train/loss"] for row in probed.having("train/loss")
    ]


def test_draws_from_numpy_and_python_depend_on_the_seed_and_go_on_at_a_resume(here: Path) -> None:
    """As in the code of many papers: a block is left out by `random`, and a loss mixed by NumPy."""
    noisy = NET.replace("* self.scale", "* (1 + random.random() + numpy.random.rand())")
    (here / "nets.py").write_text(f"import random, numpy\n{noisy}")
    words = ["model.name=nets.py:Net", "train.epochs=3"]
    for name in ("whole", "again"):
        start_run(load(*words), name=name)
    with broken_at(3):
        start_run(load(*words), name="broken")
    assert resume_run(here / "runs" / "broken").status == "finished"
    assert_same_end(here / "runs" / "broken", here / "runs" / "whole")
    start_run(load(*words, "seed=1"), name="other")
    losses = [[row["train/loss"] for row in rows_of(here / "runs" / name)] for name in ("whole", "again", "other")]
    assert losses[0] == losses[1] != losses[2]
