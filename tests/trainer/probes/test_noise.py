"""Variance of the gradient: by hand, by a second implementation, and for a loss whose gradients do not vary."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

HANDMADE = ["model.name=handmade_cnn", "model.channels=[4,6]", "model.dropout=0.0"]
GHOST = ["model.name=fastresnet9", "model.width=4", "model.ghost_size=4", "schedule.name=constant"]  # summed loss


def vector(gradients: list[Tensor]) -> Tensor:
    return torch.cat([gradient.double().flatten() for gradient in gradients])


@pytest.mark.parametrize("overrides", [HANDMADE, GHOST], ids=["mean", "sum"])
def test_variance_and_noise_scale_are_those_of_the_parts_gradients(
    watch: Callable[..., Any], overrides: list[str]
) -> None:
    """The batch of 10 images in 3 parts of 3: one image is left over."""
    steps, rows = watch([*overrides, "probe.noise.every=1", "probe.noise.parts=3", "train.max_steps=2"])
    summed = overrides is GHOST
    for seen in steps:
        whole = vector(seen.at(seen.parameters())[1])
        parts: list[Tensor] = []
        for start in (0, 3, 6):
            part = type(seen)(**{**vars(seen), "images": seen.images[start : start + 3],
                                 "targets": seen.targets[start : start + 3]})  # fmt: skip
            parts.append(vector(part.at(seen.parameters())[1]) * (10 / 3 if summed else 1))
        mean = torch.stack(parts).mean(0)
        variance = 0.3 * sum(float((part - mean).square().sum()) for part in parts) / 2
        row = rows[seen.step]
        assert row["probe/grad_variance"] == pytest.approx(variance, rel=1e-4)
        signal = float(whole.square().sum()) - variance
        assert ("probe/grad_noise_scale" in row) == (signal > 0)
        if signal > 0:
            assert row["probe/grad_noise_scale"] == pytest.approx(10 * variance / signal, rel=1e-3)


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
