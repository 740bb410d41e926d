"""One run on several ranks: it equals one process, and ends as one process would."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from on_ranks import Case, apart, state_of, train_all
from run_ends import rows_of

_BASE = ("data.name=folder", "train.device=cpu", "train.precision=float32", "train.epochs=4",
         "augment.crop.padding=1", "sink.wandb.mode=disabled", "sink.console.mode=off")  # fmt: skip
_NETS = {
    "group": ("data.image_size=8", "model.name=resnet20", "model.norm=group", "train.batch_size=10", "loss.l2=0.01",
              "train.clip_grad_norm=1", "augment.mix.name=cutmix"),
    "ghost": ("data.image_size=8", "model.name=fastresnet9", "model.width=2", "model.ghost_size=4", "train.ema.decay=0.9",
              "train.batch_size=16", "train.tta=hflip"),
    "plateau": ("data.image_size=32", "model.name=vgg_a", "model.width=2", "train.batch_size=12", "data.val_fraction=0.25",
                "schedule.name=reduce_on_plateau", "schedule.patience=0", "schedule.threshold=0.5",
                "train.early_stop.patience=3", "train.early_stop.min_delta=0.5", "train.epochs=9", "train.log_every=2"),
    "synced": ("data.image_size=8", "model.name=resnet20", "model.norm=batch", "model.sync_norm=true",
               "train.batch_size=10", "train.swa.epochs=2", "loss.reduction=sum", "optimizer.lr=0.01"),
}  # fmt: skip


@pytest.fixture(scope="module")
def runs(made_once: Callable[[str, Callable[[Path], object]], Path], image_folder: Path) -> Path:
    words = {name: (*_BASE, f"data.root={image_folder}", *net) for name, net in _NETS.items()}
    cases = [Case(f"{name}-{size}", words[name], size, double=True) for name in words for size in (1, 2, 4)]
    cases += [Case("float-2", words["group"], 2), Case("float-accumulated", (*words["group"], "train.accumulate=2"))]
    return made_once("ranks", lambda folder: train_all(cases, folder))


@pytest.mark.parametrize("name", _NETS)
@pytest.mark.parametrize("size", [2, 4])
def test_ranks_equal_one_process_with_the_same_batches(runs: Path, name: str, size: int) -> None:
    print(apart(runs / f"{name}-1", runs / f"{name}-{size}"))
    assert 0 < apart(runs / f"{name}-1", runs / f"{name}-{size}") < 1e-6


def test_two_ranks_have_the_bits_of_one_process_with_two_parts(runs: Path) -> None:
    assert apart(runs / "float-2", runs / "float-accumulated") == 0
