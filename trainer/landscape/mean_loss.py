"""The mean loss of a network as a function of its parameters, to be differentiated twice."""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.modules.batchnorm import _BatchNorm

from models.layers import HandmadeBatchNorm
from trainer.errors import ConfigError, first_line
from trainer.landscape.curvature import hessian_product
from trainer.landscape.network import MeasuredNetwork


@dataclass(frozen=True)
class MeanLoss:
    """The mean loss of N images, as the sum of `parts`. P trained parameters."""

    model: nn.Module  # a copy: other weights may be loaded into it
    parameters: list[nn.Parameter]
    parts: list[Callable[[], Tensor]]

    @property
    def size(self) -> int:
        return sum(parameter.numel() for parameter in self.parameters)

    def loss_and_gradient_norm(self) -> tuple[float, float]:
        """Return (loss, norm of its gradient)."""
        loss, gradient = 0.0, [torch.zeros_like(parameter) for parameter in self.parameters]
        for part in self.parts:
            value = part()
            addends = torch.autograd.grad(value, self.parameters, materialize_grads=True)
            loss += value.item()
            gradient = [total + g for total, g in zip(gradient, addends, strict=True)]
        return loss, torch.stack([g.norm() for g in gradient]).norm().item()

    def hessian_product(self, vector: Tensor) -> Tensor:
        """Return H v [P]."""
        with sdpa_kernel(SDPBackend.MATH):  # the fused forms of attention have no second derivative
            return hessian_product(self.parts, self.parameters, vector)


def build_mean_loss(network: MeasuredNetwork, *, chunk: int, batch_statistics: bool, dtype: torch.dtype) -> MeanLoss:
    """Return the loss in evaluation mode, with at most `chunk` images at once.

    With `batch_statistics` norms use the statistics of each chunk. Only norms are ever in training mode: with dropout
    too, each product would have another loss. Raises ConfigError for a chunk of a single image that has no statistics.
    """
    model = copy.deepcopy(network.model).to(dtype).eval()
    loss_fn = copy.deepcopy(network.loss_fn).to(dtype)
    for layer in model.modules():
        if batch_statistics and isinstance(layer, _BatchNorm | HandmadeBatchNorm):
            layer.train()
    split, n = network.split, len(network.split)

    def part(images: Tensor, labels: Tensor) -> Tensor:
        inputs = network.normalize(images, network.compute.memory_format).to(dtype)
        return loss_fn(model(inputs), labels).sum() / n

    pieces = -(-n // chunk)  # sizes differ by at most one: no small last batch
    if batch_statistics and n // pieces == 1:
        try:
            with torch.no_grad():
                part(split.images[:1], split.labels[:1])
        except ValueError as error:
            key, value, least = ("--images", n, 2) if n == 1 else ("--chunk", chunk, 3)
            raise ConfigError(
                f"{key}: {value}: --batch-statistics has a batch of a single image, on which "
                f"{network.config.model.name} cannot be trained: {first_line(error)}; take {key} {least} or more"
            ) from error
    chunks = zip(split.images.tensor_split(pieces), split.labels.tensor_split(pieces), strict=True)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return MeanLoss(model, trained, [lambda x=x, y=y: part(x, y) for x, y in chunks])
