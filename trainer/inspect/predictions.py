"""A network's predictions on its test set, and what they say: confusions, classes, calibration, mistakes.

N images, K classes. An image whose logits are not all finite counts as predicted, since argmax names a class, but has
no confidence: calibration and mistakes leave it out, and `not_finite` says how many there are.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from trainer.training.evaluate import predict
from trainer.training.trained import TrainedNetwork

BINS = 15  # Guo et al. 2017, section 5


@dataclass(frozen=True)
class Predictions:
    logits: Tensor  # [N, K] float32, on the CPU
    labels: Tensor  # [N] int64

    @cached_property
    def probabilities(self) -> Tensor:
        """[N, K] float64: softmax of the logits."""
        return self.logits.double().softmax(1)

    @cached_property
    def classes(self) -> Tensor:
        """[N] int64, of the largest logit."""
        return self.logits.argmax(1)

    @cached_property
    def finite(self) -> Tensor:
        """[N] bool."""
        return self.logits.isfinite().all(1)

    @property
    def confidence(self) -> Tensor:
        """[N] float64, the probability of the predicted class."""
        return self.probabilities.gather(1, self.classes[:, None])[:, 0]

    @property
    def right(self) -> Tensor:
        """[N] bool."""
        return self.classes == self.labels

    @property
    def accuracy(self) -> float:
        return self.right.double().mean().item()

    @property
    def not_finite(self) -> int:
        return int((~self.finite).sum())


def predict_test(trained: TrainedNetwork) -> Predictions:
    """Return the predictions on the whole test set, with the test-time views of the run's config."""
    test, train = trained.image_set.test, trained.config.train
    images = test.images.to(trained.compute.device)
    _, averaged = predict(
        trained.model, images, trained.normalize, trained.compute, tta=train.tta, batch_size=train.eval_batch_size
    )
    return Predictions(averaged.cpu(), test.labels.cpu())


def confusion(found: Predictions) -> Tensor:
    """[K, K] int64: images by true class, then by predicted."""
    k = found.logits.shape[1]
    return torch.bincount(found.labels * k + found.classes, minlength=k * k).view(k, k)


def rates(counts: Tensor) -> Tensor:
    """[K, K] float64: each row over its sum, the share of a true class that is taken for each; NaN where it has no
    image."""
    return counts.double() / counts.sum(1, keepdim=True)


@dataclass(frozen=True)
class ClassFigures:
    """Of each class, [K] float64; NaN where there is nothing to divide by."""

    precision: Tensor  # right ones of those predicted so
    recall: Tensor  # right ones of those that are so
    f1: Tensor  # their harmonic mean, 2 TP / (2 TP + FP + FN)


def class_figures(counts: Tensor) -> ClassFigures:
    """From a confusion matrix [K, K]."""
    right, is_so, called_so = counts.diag().double(), counts.sum(1), counts.sum(0)
    return ClassFigures(right / called_so, right / is_so, 2 * right / (is_so + called_so))


@dataclass(frozen=True)
class Reliability:
    """Confidence against accuracy in M bins of equal width, (m-1)/M < confidence <= m/M (Guo et al. 2017, section 2).

    Means are NaN in an empty bin.
    """

    images: Tensor  # [M] int64
    confidence: Tensor  # [M] float64, mean of the bin's images
    accuracy: Tensor  # [M] float64

    @property
    def error(self) -> float:
        """Expected calibration error (eq. 3): the sum over bins of |B_m| / n |acc(B_m) - conf(B_m)|; NaN of none."""
        gap = (self.accuracy - self.confidence).abs().nan_to_num(0.0)
        return (self.images / self.images.sum() * gap).sum().item()


def reliability(confidence: Tensor, right: Tensor, *, bins: int = BINS) -> Reliability:
    """Of confidences [n] in [0, 1] and whether each prediction was right, [n] bool."""
    bin_of = (confidence * bins).ceil().long().sub(1).clamp(0, bins - 1)
    images = torch.bincount(bin_of, minlength=bins)
    mean_confidence, accuracy = (
        torch.bincount(bin_of, weights=each.double(), minlength=bins) / images for each in (confidence, right)
    )
    return Reliability(images, mean_confidence, accuracy)


def calibration(found: Predictions) -> Reliability:
    return reliability(found.confidence[found.finite], found.right[found.finite])


def confident_mistakes(found: Predictions, count: int) -> Tensor:
    """[<= count] int64: which images were taken for another class, the surest first; of equals the first."""
    wrong = (~found.right & found.finite).nonzero()[:, 0]
    return wrong[found.confidence[wrong].argsort(descending=True, stable=True)[:count]]


def as_json(found: Predictions, class_names: tuple[str, ...], mistakes: Tensor) -> dict[str, Any]:
    """All of it as plain values; null for what is not a number."""
    counts, bins = confusion(found), calibration(found)
    figures, shares = class_figures(counts), rates(counts)
    edges = [m / len(bins.images) for m in range(len(bins.images) + 1)]
    return {
        "images": len(found.labels),
        "not_finite": found.not_finite,
        "accuracy": found.accuracy,
        "calibration": {
            "expected_calibration_error": plain(bins.error),
            "bins": [
                {
                    "above": low,
                    "to": high,
                    "images": images,
                    "confidence": plain(confidence),
                    "accuracy": plain(accuracy),
                }
                for low, high, images, confidence, accuracy in zip(
                    edges,
                    edges[1:],
                    bins.images.tolist(),
                    bins.confidence.tolist(),
                    bins.accuracy.tolist(),
                    strict=False,
                )
            ],
        },
        "confusion": {"counts": counts.tolist(), "rates": [[plain(each) for each in row] for row in shares.tolist()]},
        "classes": [
            {
                "name": name,
                "images": int(counts[k].sum()),
                "precision": plain(figures.precision[k].item()),
                "recall": plain(figures.recall[k].item()),
                "f1": plain(figures.f1[k].item()),
            }
            for k, name in enumerate(class_names)
        ],
        "mistakes": [
            {
                "picture": index,
                "true": class_names[int(found.labels[index])],
                "predicted": class_names[int(found.classes[index])],
                "confidence": found.confidence[index].item(),
            }
            for index in mistakes.tolist()
        ],
    }


def plain(value: float) -> float | None:
    """For JSON, which has no word for NaN and infinity."""
    return value if value == value and abs(value) != float("inf") else None
