"""Accuracy and loss of a network on a split, with test-time augmentation."""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import torch
from torch import Tensor, nn

from trainer.config.train import Tta
from trainer.data.batches import Normalize
from trainer.data.crops import pad
from trainer.data.images import ImageSet, Split
from trainer.errors import ConfigError
from trainer.training.device import Compute
from trainer.training.ranks import ALONE, Ranks


@dataclass(frozen=True)
class Evaluation:
    """A network on N images, by the mean of the logits over their views."""

    loss: float  # mean over the images
    accuracy: float  # a fraction
    accuracy_plain: float | None  # of the unchanged images alone; None without test-time augmentation
    labels: Tensor  # [N] true classes
    predicted: Tensor  # [N]

    @property
    def correct(self) -> Tensor:
        """Mask [N] bool of the images whose class was predicted."""
        return self.predicted == self.labels

    def metrics(self, prefix: str = "") -> dict[str, float]:
        """Return `loss`, `accuracy` and, with test-time augmentation, `accuracy_plain`, each after `prefix`."""
        metrics = {f"{prefix}loss": self.loss, f"{prefix}accuracy": self.accuracy}
        return metrics if self.accuracy_plain is None else metrics | {f"{prefix}accuracy_plain": self.accuracy_plain}

    def confusion(self, classes: int) -> Tensor:
        """Return the number of images by true class, then by predicted: [K, K] int64 for K `classes`."""
        return torch.bincount(self.labels * classes + self.predicted, minlength=classes**2).view(classes, classes)


@torch.inference_mode()
def evaluate(
    model: nn.Module,
    split: Split,
    normalize: Normalize,
    loss_fn: nn.Module,
    compute: Compute,
    *,
    tta: Tta = "none",
    tta_share: float = 1.0,
    batch_size: int = 0,
    ranks: Ranks = ALONE,
) -> Evaluation:
    """Evaluate a network in evaluation mode, each of `ranks` on its part. Afterwards it is in the mode it was in."""
    was_training = model.training
    model.eval()
    ranks = ranks if len(split) >= ranks.size else ALONE  # each has all of a few images
    (images,) = ranks.part(split.images)
    plain, averaged = (
        ranks.whole(logits, len(split))
        for logits in predict(model, images, normalize, compute, tta=tta, tta_share=tta_share, batch_size=batch_size)
    )
    model.train(was_training)

    def accuracy(logits: Tensor) -> float:
        return (logits.argmax(1) == split.labels).sum().item() / len(split)

    return Evaluation(
        loss=loss_fn(averaged, split.labels).mean().item(),
        accuracy=accuracy(averaged),
        accuracy_plain=None if tta == "none" else accuracy(plain),
        labels=split.labels,
        predicted=averaged.argmax(1),
    )


@torch.inference_mode()
def predict(
    model: nn.Module,
    images: Tensor,
    normalize: Normalize,
    compute: Compute,
    *,
    tta: Tta = "none",
    tta_share: float = 1.0,
    batch_size: int = 0,
) -> tuple[Tensor, Tensor]:
    """Return logits [N, K] float32 of uint8 images [N, C, H, W]: (of the image alone, mean over its views).

    A `tta_share` below 1 averages over the views of that share of the images, those with the lowest probability of
    their most probable class. The others keep the logits of the image alone.
    """

    def logits_of(images: Tensor) -> Tensor:
        with compute.autocast():
            return model(normalize(images, compute.memory_format)).float()

    batch_size = batch_size or evaluated_at_once(images)
    batch_size = max(1, min(batch_size, len(images)))  # torch takes no number above 2**63
    plain = torch.cat([logits_of(part) for part in images.split(batch_size)])
    if tta == "none":
        return plain, plain
    averaged = plain.clone()
    for part in _least_certain(plain, tta_share).split(batch_size):
        (weight, _), *others = _views(images[part], tta)
        averaged[part] = sum((share * logits_of(view) for share, view in others), weight * plain[part])
    return plain, averaged


def refuse_views(tta: Tta, image_set: ImageSet) -> None:
    """Raise ConfigError for views that the test images do not have: one that is a pixel high cannot move by one."""
    height, width = image_set.test.images.shape[-2:]
    if tta == "hflip_translate" and min(height, width) < 2:
        raise ConfigError(
            f"train.tta: hflip_translate moves images by a pixel, and these are {height}x{width}; set none or hflip"
        )


def evaluated_at_once(images: Tensor) -> int:
    """Return the images of a batch if `train.eval_batch_size` is 0: as many of [N, C, H, W] as keep a device busy.

    On a GPU larger images make smaller batches, since memory is that of pixels.
    """
    if images.device.type == "cpu":
        return 500
    pixels = images.shape[-2] * images.shape[-1]
    return min(max(500, 2500 * 32 * 32 // pixels), 2500)


def _least_certain(logits: Tensor, share: float) -> Tensor:
    """Return the positions of a share of the images, in order."""
    if share == 1:
        return torch.arange(len(logits), device=logits.device)
    certainty = logits.softmax(1).amax(1)
    # An exact fraction: 0.07 * 100 is 7.000000000000001, which would be 8 images.
    count = max(1, math.ceil(Fraction(share).limit_denominator(10**9) * len(logits)))
    return certainty.topk(count, largest=False).indices.sort().values


def _views(raw: Tensor, tta: Literal["hflip", "hflip_translate"]) -> list[tuple[float, Tensor]]:
    """Return (weight, images) of each view, the unchanged images first. The weights sum to 1."""
    if tta == "hflip":
        return [(1 / 2, raw), (1 / 2, raw.flip(-1))]
    height, width = raw.shape[-2:]
    padded = pad(raw, 1, "reflect")
    moved = [padded[..., :height, :width], padded[..., 2:, 2:]]  # one pixel down-right, one up-left
    pairs = [(1 / 4, raw), *((1 / 8, view) for view in moved)]  # half the weight on the unmoved pair (Jordan 2024, 3.1)
    return [(weight, view) for weight, image in pairs for view in (image, image.flip(-1))]
