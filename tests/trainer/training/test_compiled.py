"""Kernels are compiled before the first training step, and a run is the same as without."""

from pathlib import Path

import pytest
import torch
from run_ends import differing
from torch import Tensor, nn

from trainer.config import load_config
from trainer.training.run import start_run


def test_each_shape_is_seen_before_the_first_step_and_changes_no_bit(
    tmp_path: Path, small_run: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """48 images in batches of 20 leave one of 8, and an epoch of 4 pixels comes first."""
    seen: list[tuple[bool, tuple[int, ...]]] = []

    def compiled(model: nn.Module):
        def forward(images: Tensor) -> Tensor:
            seen.append((model.training, tuple(images.shape)))
            return model(images)

        return forward

    words = [*small_run, "train.epochs=2", "train.batch_size=20", "sink.console.mode=off"]
    words += ["augment.side.pixels=[8,8]", "augment.side.from_epochs=[0,1]", "train.accumulate=2"]
    plain = start_run(load_config(words).config, runs=tmp_path, name="plain")
    monkeypatch.setattr(torch, "compile", compiled)
    ahead = start_run(load_config([*words, "train.compile=true"]).config, runs=tmp_path, name="compiled")
    steps = [(True, (10, 3, 8, 8))] * 4 + [(True, (4, 3, 8, 8))] * 2
    first = [(True, (10, 3, 8, 8))] * 2 + [(True, (4, 3, 8, 8))] * 2
    assert seen == [*first, *steps, *steps]
    assert not differing(plain.folder, ahead.folder, apart_from=("/config/train/compile",))
    assert plain.summary["time/compile_seconds"] == 0 < ahead.summary["time/compile_seconds"]
    assert min(plain.summary["time/build_seconds"], plain.summary["time/prepare_seconds"]) > 0
