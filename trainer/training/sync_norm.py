"""BatchNorm by the statistics of the whole batch of a run on several devices: `model.sync_norm=true`.

torch's own SyncBatchNorm refuses CPUs (as of 2.15). This one runs on any device. R ranks have N images each, of C
channels.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from models.layers.running import move_running_statistics
from trainer.errors import ConfigError
from trainer.training.process_group import all_sum
from trainer.training.ranks import Ranks


def with_sync_norms(model: nn.Module, ranks: Ranks) -> nn.Module:
    """Turn each BatchNorm of a network into a SyncBatchNorm, if there are several ranks. Return the network.

    Raises ConfigError for a layer with batch statistics of its own kind.
    """
    for name, layer in model.named_modules() if ranks.size > 1 else ():
        if type(layer) in (nn.BatchNorm1d, nn.BatchNorm2d) or getattr(layer, "ghost_size", None) == 0:
            layer.__class__ = SyncBatchNorm  # the same parameters, hooks and state
        elif hasattr(layer, "running_mean"):
            kind = type(layer).__name__
            raise ConfigError(
                f"model.sync_norm: {name} is a {kind}, which knows one rank's images only; set it to false"
            )
    return model


class SyncBatchNorm(_BatchNorm):
    """BatchNorm over the parts of all ranks, [N, C, ...] -> the same. In training, all ranks must call it together."""

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        mean, variance, count = _statistics_of_all(input.detach())
        output = _Normalize.apply(input, self.weight, self.bias, mean, (variance + self.eps).rsqrt(), count)
        if self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None:
            batch = mean, variance * (count / (count - 1))
            running = self.running_mean, self.running_var
            move_running_statistics(running, batch, self.num_batches_tracked, self.momentum)
        return output  # pyright: ignore[reportReturnType]

    def _check_input_dim(self, input: Tensor) -> None:
        """Accept any shape [N, C, ...]."""

    def _get_name(self) -> str:
        return "SyncBatchNorm"


def _statistics_of_all(input: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return mean [C], biased variance [C] and number of values a channel [], over all ranks.

    Each rank takes the variance around its own mean. A sum of squares would lose what the two have in common.
    """
    values = _whole(input)
    variance, mean = (each.double() for each in torch.var_mean(values, _over(input), correction=0))
    number = input.numel() // input.shape[1]
    sums = all_sum(torch.stack([torch.ones_like(mean), mean, variance, mean.square()]).mul_(number))
    _, mean, within, square = sums / sums[0]
    variance = (within + square - mean.square()).clamp_(min=0)
    return mean.to(values.dtype), variance.to(values.dtype), sums[0, 0].to(values.dtype)


class _Normalize(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, input: Tensor, weight: Tensor | None, bias: Tensor | None, mean: Tensor, scale: Tensor, count: Tensor
    ) -> Tensor:
        """Normalise [N, C, ...] by mean [C] and scale [C], and apply weight [C] and bias [C]."""
        ctx.save_for_backward(input, weight, mean, scale, count)
        normalised = (_whole(input) - _wide(mean, input)) * _wide(scale, input)
        if weight is not None and bias is not None:
            normalised = torch.addcmul(_wide(bias, input), normalised, _wide(weight, input))
        return normalised.to(input.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        input, weight, mean, scale, count = ctx.saved_tensors
        gradient = _whole(gradients[0])
        normalised = (_whole(input) - _wide(mean, input)) * _wide(scale, input)
        of_bias, of_weight = gradient.sum(_over(input)), (gradient * normalised).sum(_over(input))
        # Through the mean and the variance, each image of a rank changes the output for the images of all.
        sums = all_sum(torch.stack([of_bias, of_weight])) / count
        gradient = gradient - _wide(sums[0], input) - normalised * _wide(sums[1], input)
        gradient = gradient * _wide(scale if weight is None else scale * weight, input)
        affine = (None, None) if weight is None else (of_weight, of_bias)
        return gradient.to(input.dtype), *affine, None, None, None


def _whole(values: Tensor) -> Tensor:
    """Return values in float32, or float64 if they are."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _over(input: Tensor) -> list[int]:
    return [axis for axis in range(input.ndim) if axis != 1]


def _wide(values: Tensor, input: Tensor) -> Tensor:
    """Return [C] in the shape that goes with [N, C, ...]."""
    return values.view(1, -1, *[1] * (input.ndim - 2))
