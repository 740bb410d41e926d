"""Accuracy and loss of a network on a split, with test-time augmentation."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from trainer.data.batches import Normalize, pad
from trainer.data.images import Split
from trainer.device import Compute

Tta = Literal["none", "hflip", "hflip_translate"]


@dataclass(frozen=True)
class Evaluation:
    """Means over a split: fractions right, and the training's own loss function."""

    loss: float
    accuracy: float  # of the averaged views' logits
    accuracy_plain: float | None  # of the picture alone; None without test-time augmentation

    def metrics(self) -> dict[str, float]:
        return {key: value for key, value in vars(self).items() if value is not None}


@torch.inference_mode()
def evaluate(
    model: nn.Module,
    split: Split,
    normalize: Normalize,
    loss_fn: nn.Module,
    compute: Compute,
    *,
    tta: Tta = "none",
    batch_size: int = 500,
) -> Evaluation:
    """Evaluate `model` in its evaluation mode, and leave it in the mode it was in."""
    was_training = model.training
    model.eval()
    plain, averaged = predict(model, split.images, normalize, compute, tta=tta, batch_size=batch_size)
    model.train(was_training)
    loss = loss_fn(averaged, split.labels)
    scale = 1 if getattr(loss_fn, "reduction", "mean") == "mean" else len(split)

    def accuracy(logits: Tensor) -> float:
        return (logits.argmax(1) == split.labels).sum().item() / len(split)

    return Evaluation(loss.item() / scale, accuracy(averaged), None if tta == "none" else accuracy(plain))


@torch.inference_mode()
def predict(
    model: nn.Module,
    images: Tensor,
    normalize: Normalize,
    compute: Compute,
    *,
    tta: Tta = "none",
    batch_size: int = 500,
) -> tuple[Tensor, Tensor]:
    """Logits [N, K] float32 of uint8 pictures [N, C, H, W]: (of the picture alone, of its views averaged)."""

    def forward(views: Tensor) -> Tensor:
        with compute.autocast():
            return model(views.contiguous(memory_format=compute.memory_format)).float()

    parts: list[tuple[Tensor, Tensor]] = []
    for raw in images.split(batch_size):
        plain = forward(normalize(raw))
        parts.append((plain, _average(plain, raw, lambda view: forward(normalize(view)), tta)))
    return torch.cat([plain for plain, _ in parts]), torch.cat([averaged for _, averaged in parts])


def _average(plain: Tensor, raw: Tensor, forward: Callable[[Tensor], Tensor], tta: Tta) -> Tensor:
    if tta == "none":
        return plain
    mirrored = (plain + forward(raw.flip(-1))) / 2
    if tta == "hflip":
        return mirrored
    moved = [(forward(view) + forward(view.flip(-1))) / 2 for view in _translations(raw)]
    return mirrored / 2 + torch.stack(moved).mean(0) / 2  # half the weight on the unmoved pair (Jordan 2024, 3.1)


def _translations(raw: Tensor) -> Iterator[Tensor]:
    """The pictures moved one pixel down-right and one up-left."""
    height, width = raw.shape[-2:]
    padded = pad(raw, 1, "reflect")
    yield padded[..., :height, :width]
    yield padded[..., 2:, 2:]
