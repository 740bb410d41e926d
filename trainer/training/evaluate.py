"""Accuracy and loss of a network on a split, with test-time augmentation."""

import torch
from torch import Tensor, nn

from trainer.config.train import Tta
from trainer.data.batches import Normalize, pad
from trainer.data.images import Split
from trainer.training.device import Compute


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
    confusion: Tensor | None = None,
) -> dict[str, float]:
    """`loss`, the mean over the split, and `accuracy`, a fraction, both of the averaged views; with test-time
    augmentation also `accuracy_plain`, of the image alone. The model is left in the mode it was in.

    `confusion` [K, K], where given, is set to the images by true class, then by predicted, of the averaged views.
    """
    was_training = model.training
    model.eval()
    plain, averaged = predict(model, split.images, normalize, compute, tta=tta, batch_size=batch_size)
    model.train(was_training)

    def accuracy(logits: Tensor) -> float:
        return (logits.argmax(1) == split.labels).sum().item() / len(split)

    if confusion is not None:
        place = split.labels * len(confusion) + averaged.argmax(1)
        confusion.copy_(torch.bincount(place, minlength=confusion.numel()).view_as(confusion))
    found = {"loss": loss_fn(averaged, split.labels).mean().item(), "accuracy": accuracy(averaged)}
    return found if tta == "none" else found | {"accuracy_plain": accuracy(plain)}


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
    """Logits [N, K] float32 of uint8 images [N, C, H, W]: (of the image alone, of its views averaged)."""
    plain: list[Tensor] = []
    averaged: list[Tensor] = []
    for raw in images.split(batch_size):
        logits: list[Tensor] = []
        weights, views = zip(*_views(raw, tta), strict=True)
        for view in views:
            with compute.autocast():
                logits.append(model(normalize(view, compute.memory_format)).float())
        plain.append(logits[0])
        averaged.append(sum((w * each for w, each in zip(weights, logits, strict=True)), torch.zeros_like(logits[0])))
    return torch.cat(plain), torch.cat(averaged)


def _views(raw: Tensor, tta: Tta) -> list[tuple[float, Tensor]]:
    """(weight, images) of each view, the images themselves first; the weights sum to 1."""
    if tta == "none":
        return [(1.0, raw)]
    if tta == "hflip":
        return [(1 / 2, raw), (1 / 2, raw.flip(-1))]
    height, width = raw.shape[-2:]
    padded = pad(raw, 1, "reflect")
    moved = [padded[..., :height, :width], padded[..., 2:, 2:]]  # one pixel down-right, one up-left
    pairs = [(1 / 4, raw), *((1 / 8, view) for view in moved)]  # half the weight on the unmoved pair (Jordan 2024, 3.1)
    return [(weight, view) for weight, image in pairs for view in (image, image.flip(-1))]
