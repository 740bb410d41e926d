"""Variance of the gradient: by hand, by a second implementation, and for a loss whose gradients do not vary."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from trainer.config import load_config

HANDMADE = ["model.name=handmade_cnn", "model.channels=[4,6]", "model.dropout=0.0"]
GHOST = ["model.name=fastresnet9", "model.width=4", "model.ghost_size=4", "schedule.name=constant"]  # summed loss


def vector(gradients: list[Tensor]) -> Tensor:
    return torch.cat([gradient.double().flatten() for gradient in gradients])


@pytest.mark.parametrize("overrides", [HANDMADE, GHOST], ids=["mean", "sum"])
@pytest.mark.parametrize("accumulate", [1, 2, 3])
def test_variance_and_noise_scale_are_those_of_the_parts_gradients(
    watch: Callable[..., Any], overrides: list[str], accumulate: int
) -> None:
    """The batch of 10 images in 3 parts of 3: one image is left over. Each has the batch statistics of its 3 images."""
    words = [*overrides, f"train.accumulate={accumulate}"]
    steps, rows = watch([*words, "probe.noise.every=1", "probe.noise.parts=3", "train.max_steps=2"])
    summed = overrides is GHOST
    for seen in steps:
        whole = vector(seen.at(seen.parameters())[1])
        parts: list[Tensor] = []
        for start in (0, 3, 6):
            part = dataclasses.replace(
                seen, images=seen.images[start : start + 3], targets=seen.targets[start : start + 3],
                config=load_config(overrides).config,
            )  # fmt: skip
            parts.append(vector(part.at(seen.parameters())[1]) * (10 / 3 if summed else 1))
        mean = torch.stack(parts).mean(0)
        variance = 0.3 * sum(float((part - mean).square().sum()) for part in parts) / 2
        row = rows[seen.step]
        assert row["probe/grad_variance"] == pytest.approx(variance, rel=1e-4)
        signal = float(whole.square().sum()) - variance
        assert ("probe/grad_noise_scale" in row) == (signal > 0)
        if signal > 0:
            assert row["probe/grad_noise_scale"] == pytest.approx(10 * variance / signal, rel=1e-3)


@pytest.mark.parametrize(
    ("images", "accumulate", "parts", "sizes"),
    [
        (8, 2, 4, {2}),
        (64, 4, 4, {16}),
        (64, 8, 4, {8}),  # a part of 16 would need more memory than the step, whose own parts are of 8
        (20, 3, 2, {5}),
        (12, 6, 4, {3}),  # not 2 + 1
        (12, 4, 3, {2}),  # not 3 + 1
        (8, 8, 4, {1}),  # what can be trained on single images
    ],
)
def test_a_part_is_cut_only_where_it_is_larger_than_those_of_the_step_and_never_to_one_image(
    descend: Callable[..., Any], bowl: type, images: int, accumulate: int, parts: int, sizes: set[int]
) -> None:
    """Before: each part was cut into `train.accumulate` again, and BatchNorm refused one image amid the training."""
    slope, seen = bowl(torch.tensor(2.0), torch.tensor([3.0, -4.0])), []
    slope.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    words = [f"train.accumulate={accumulate}", f"probe.noise.parts={parts}", 'model.order=["linear","act"]']
    rows = descend(slope, 0.1, 1, ["probe.noise.every=1", *words], images=images)
    assert rows[0]["probe/grad_variance"] == 0.0
    assert set(seen[accumulate:]) == sizes


def test_a_gradient_that_no_image_changes_has_no_variance(descend: Callable[..., Any], bowl: type) -> None:
    slope = bowl(torch.tensor(2.0), torch.tensor([3.0, -4.0]))
    rows = descend(slope, 0.1, 1, ["probe.noise.every=1", "probe.noise.parts=2"], images=8)
    assert rows[0] == {"probe/grad_variance": 0.0, "probe/grad_noise_scale": 0.0}


def test_a_batch_of_less_than_two_images_a_part_is_not_measured(descend: Callable[..., Any], bowl: type) -> None:
    slope = bowl(torch.tensor(2.0), torch.tensor([3.0, -4.0]))
    rows = descend(slope, 0.1, 1, ["probe.noise.every=1", "probe.noise.parts=2", "probe.drift.every=1"], images=3)
    assert set(rows[0]) == {"runs/loss", "runs/grad_norm"}


def test_of_many_batches_the_estimate_is_their_variance(watch: Callable[..., Any]) -> None:
    """A linear network at rate 0: the estimates of single steps average to the variance over batches."""
    linear = ["model.name=handmade_mlp", "model.hidden=[4]", 'model.order=["linear","act"]', "data.train_size=48"]
    steps, rows = watch([*linear, "optimizer.lr=1e-12", "optimizer.name=sgd", "probe.noise.every=1", "train.epochs=40",
                         "train.batch_size=8", "augment.crop.padding=0", "augment.flip.mode=none",
                         "probe.noise.parts=4"])  # fmt: skip
    gradients = torch.stack([vector(seen.at(seen.parameters())[1]) for seen in steps])
    true = float((gradients - gradients.mean(0)).square().sum()) / (len(steps) - 1)
    estimates = [row["probe/grad_variance"] for row in rows.values() if "probe/grad_variance" in row]
    assert len(estimates) == len(steps)
    estimate = sum(estimates) / len(estimates)
    # Drawn without replacement from 48 images, batches of 8 vary less by (48 - 8) / (48 - 1).
    assert true == pytest.approx(estimate * 40 / 47, rel=0.15)
