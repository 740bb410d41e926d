"""Noise of the test set: how far an accuracy would move with other images of the same kind, apart from the seed's.

With c[s, i] whether run s got image i right, an accuracy is the mean over images of their chances p[i]. Other images
would have other chances, so its variance is that of p[i] over images, divided by the number of images. The runs show
m[i], the mean of c[s, i] over the runs, whose variance also has that of a run: p[i] (1 - p[i]) / n on average, which is
estimated without bias and taken off. Accuracies are in percent.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Correct = NDArray[np.bool_]  # [N], a run's test images that it got right


def image_error(runs: Sequence[Correct]) -> float | None:
    """Return the standard error of a mean accuracy from the choice of the test images.

    0 if the estimate of its variance is not above 0. None for fewer than two runs or images, or if the runs have
    different numbers of images.
    """
    if len(runs) < 2 or not _same_images(runs):
        return None
    mean, noise = _chances(runs)
    return _percent(float(np.var(mean, ddof=1)) - noise, len(mean))


def image_error_of_difference(a: Sequence[Correct], b: Sequence[Correct]) -> float | None:
    """Return that of a difference of mean accuracies, image by image. None for fewer than two runs of one, and as
    above."""
    if min(len(a), len(b)) < 2 or not _same_images([*a, *b]):
        return None
    (mean_a, noise_a), (mean_b, noise_b) = _chances(a), _chances(b)
    return _percent(float(np.var(mean_a - mean_b, ddof=1)) - noise_a - noise_b, len(mean_a))


def _same_images(runs: Sequence[Correct]) -> bool:
    """Return whether all runs have as many images, and more than one, which a variance needs."""
    return len({len(run) for run in runs}) == 1 and len(runs[0]) > 1


def _chances(runs: Sequence[Correct]) -> tuple[NDArray[np.float64], float]:
    """Return (mean over n runs [N], the mean over images of the variance of such a mean)."""
    mean = np.mean(np.stack(runs), axis=0, dtype=float)
    return mean, float(np.mean(mean * (1 - mean))) / (len(runs) - 1)


def _percent(variance: float, images: int) -> float:
    return 100 * math.sqrt(max(0.0, variance) / images)
