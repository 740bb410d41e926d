"""Variance of the gradient over batches, from the gradients of parts of one batch (McCandlish et al. 2018)."""

from collections.abc import Mapping

import torch
from torch import Tensor

from trainer.config.probe import Noise
from trainer.probes.due import ProbeAtSteps, Steps
from trainer.probes.gradients import distance, flat, norm
from trainer.probes.untouched import untouched
from trainer.protocols import View


class NoiseProbe(ProbeAtSteps):
    """A probe that compares the gradients of K parts of the step's batch."""

    name = "noise"

    def __init__(self, config: Noise, steps: Steps) -> None:
        super().__init__(steps)
        self._parts = config.parts

    def measure(self, view: View) -> Mapping[str, Tensor | float]:
        """Return the variance of a batch's gradient at the step's weights, and the simple noise scale.

        probe/grad_variance     trace of the covariance of g over batches of N images, without bias for a network
                                without batch statistics: (m / N) sum_k ||g_k - mean||^2 / (K - 1), parts of m images.
                                With BatchNorm each part has the statistics of its own m images, or, where m is more
                                than the step has at once (`train.accumulate`), of as many as it has.
        probe/grad_noise_scale  the batch size at which gradient and noise are equally long: N times this variance,
                                divided by ||E g||^2 (McCandlish et al. 2018, equation 2.9). Absent where the estimate
                                of ||E g||^2, ||g||^2 minus the variance, is not positive.

        Nothing is measured on a batch of fewer than two images a part.
        """
        images = len(view.images)
        size = images // self._parts
        if size < 2:
            return {}
        with untouched(view.model):
            gradients = [flat(gradient) for gradient in view.gradients_of_parts(self._parts)]
        mean = torch.stack(gradients).mean(0)
        spread = torch.stack([distance(gradient, mean) ** 2 for gradient in gradients]).sum() / (self._parts - 1)
        variance = size / images * spread
        squared = norm(flat(view.gradient)) ** 2 - variance
        metrics: dict[str, Tensor | float] = {"probe/grad_variance": variance}
        if squared > 0:
            metrics["probe/grad_noise_scale"] = images * variance / squared
        return metrics
