"""Brightness and contrast of normalised images: a factor and a summand for each image."""

from collections.abc import Sequence

import torch
from torch import Tensor

from trainer.config.augment import Intensity
from trainer.data.augment.stage import Change, Epoch


def intensity(config: Intensity, mean: Sequence[float], std: Sequence[float], epoch: Epoch) -> Change:
    """Return the change of each batch: uint8 or float32 to float32 levels that normalise to factor * x + summand.

    `mean` and `std` [C] are fractions of white.
    """
    # Both are drawn, on or off, so that turning one off does not change the draw of the other.
    factor = epoch.rand(epoch.images, low=1 - config.contrast, high=1 + config.contrast)
    summand = epoch.rand(epoch.images, low=-config.brightness, high=config.brightness)
    centre, spread = (torch.tensor(values, dtype=torch.float64) for values in (mean, std))
    shift = 255 * ((1 - factor[:, None]) * centre + summand[:, None] * spread)  # [N, C]
    factors, shifts = (epoch.send(values.float()) for values in (factor, shift))

    def change(number: int, images: Tensor) -> Tensor:
        now = epoch.batch(number)
        levels = images.to(torch.float32)
        return levels.mul_(factors[now].view(-1, 1, 1, 1)).add_(shifts[now].unsqueeze(-1).unsqueeze(-1))

    return change
