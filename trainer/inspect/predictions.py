"""A network's predictions on its test set: confusions, figures by class, calibration, mistakes.

N images, K classes. An image whose logits are not all finite counts as predicted, because argmax returns a class, but
it has no confidence. Calibration and mistakes leave it out, and `not_finite` counts such images.
"""

from collections.abc import Sequence
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
        """Softmax of the logits, [N, K] float64."""
        return self.logits.double().softmax(1)

    @cached_property
    def classes(self) -> Tensor:
        """Class of the largest logit, [N] int64."""
        return self.logits.argmax(1)

    @cached_property
    def finite(self) -> Tensor:
        """Mask [N] bool of the images whose logits are all finite."""
        return self.logits.isfinite().all(1)

    @property
    def confidence(self) -> Tensor:
        """Probability of the predicted class, [N] float64."""
        return self.probabilities.gather(1, self.classes[:, None])[:, 0]

    @property
    def right(self) -> Tensor:
        """Mask [N] bool of the correct predictions."""
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
        trained.model,
        images,
        trained.normalize,
        trained.compute,
        tta=train.tta,
        tta_share=train.tta_share,
        batch_size=train.eval_batch_size,
    )
    return Predictions(averaged.cpu(), test.labels.cpu())


def confusion(predictions: Predictions) -> Tensor:
    """Count the images by true class, then by predicted class, [K, K] int64."""
    k = predictions.logits.shape[1]
    return torch.bincount(predictions.labels * k + predictions.classes, minlength=k * k).view(k, k)


def rates(counts: Tensor) -> Tensor:
    """Divide each row of a confusion matrix by its sum: shares of a true class, NaN if it has no image."""
    return counts.double() / counts.sum(1, keepdim=True)


@dataclass(frozen=True)
class ClassFigures:
    """Figures of each class, [K] float64, NaN for 0 / 0."""

    precision: Tensor  # TP / (TP + FP)
    recall: Tensor  # TP / (TP + FN)
    f1: Tensor  # 2 TP / (2 TP + FP + FN)


def class_figures(counts: Tensor) -> ClassFigures:
    """Return the figures of a confusion matrix [K, K]."""
    right, actual, predicted = counts.diag().double(), counts.sum(1), counts.sum(0)
    return ClassFigures(right / predicted, right / actual, 2 * right / (actual + predicted))


@dataclass(frozen=True)
class Reliability:
    """Confidence and accuracy in M bins of equal width, (m-1)/M < confidence <= m/M (Guo et al. 2017, section 2).

    The means of an empty bin are NaN.
    """

    images: Tensor  # [M] int64
    confidence: Tensor  # [M] float64, mean over the bin's images
    accuracy: Tensor  # [M] float64

    @property
    def error(self) -> float:
        """Expected calibration error (eq. 3): the sum over bins of |B_m| / n |acc(B_m) - conf(B_m)|, NaN if n is 0."""
        gap = (self.accuracy - self.confidence).abs().nan_to_num(0.0)
        return (self.images / self.images.sum() * gap).sum().item()


def reliability(confidence: Tensor, right: Tensor, *, bins: int = BINS) -> Reliability:
    """Sort confidences [n] in [0, 1], and whether each prediction was right, [n] bool, into bins."""
    bin_of = (confidence * bins).ceil().long().sub(1).clamp(0, bins - 1)
    images = torch.bincount(bin_of, minlength=bins)
    mean_confidence, accuracy = (
        torch.bincount(bin_of, weights=values.double(), minlength=bins) / images for values in (confidence, right)
    )
    return Reliability(images, mean_confidence, accuracy)


def calibration(predictions: Predictions) -> Reliability:
    return reliability(predictions.confidence[predictions.finite], predictions.right[predictions.finite])


def confident_mistakes(predictions: Predictions, count: int) -> Tensor:
    """Return the indices [<= count] int64 of images mistaken for another class, the most confident first."""
    wrong = (~predictions.right & predictions.finite).nonzero()[:, 0]
    return wrong[predictions.confidence[wrong].argsort(descending=True, stable=True)[:count]]


def as_json(predictions: Predictions, class_names: tuple[str, ...], mistakes: Tensor) -> dict[str, Any]:
    """Return all figures as plain values, with null for what is not a number."""
    counts, bins = confusion(predictions), calibration(predictions)
    figures = {name: _plain(values) for name, values in vars(class_figures(counts)).items()}
    edges = [m / len(bins.images) for m in range(len(bins.images) + 1)]
    filled = {"images": bins.images.tolist(), "confidence": _plain(bins.confidence), "accuracy": _plain(bins.accuracy)}
    return {
        "images": len(predictions.labels),
        "not_finite": predictions.not_finite,
        "accuracy": predictions.accuracy,
        "calibration": {
            "expected_calibration_error": plain(bins.error),
            "bins": _rows({"above": edges[:-1], "to": edges[1:], **filled}),
        },
        "confusion": {"counts": counts.tolist(), "rates": [_plain(row) for row in rates(counts)]},
        "classes": _rows({"name": class_names, "images": counts.sum(1).tolist(), **figures}),
        "mistakes": [
            {
                "picture": index,
                "true": class_names[int(predictions.labels[index])],
                "predicted": class_names[int(predictions.classes[index])],
                "confidence": predictions.confidence[index].item(),
            }
            for index in mistakes.tolist()
        ],
    }


def _rows(columns: dict[str, Sequence[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _plain(values: Tensor) -> list[float | None]:
    return [plain(value) for value in values.tolist()]


def plain(value: float) -> float | None:
    """Return None for NaN and infinity, which JSON does not have."""
    return value if value == value and abs(value) != float("inf") else None
