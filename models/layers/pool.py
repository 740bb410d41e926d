"""Pooling to a given size."""

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F


class PoolTo(nn.Module):
    """[N, C, H, W] -> [N, C, size, size], the largest or the mean value of each tile.

    torch's adaptive pooling, without its gradient on CUDA, whose order of additions is not the same every time, where
    `size` divides H and W.
    """

    def __init__(self, size: int, kind: Literal["max", "mean"]) -> None:
        super().__init__()
        self.size, self.kind = size, kind

    def forward(self, input: Tensor) -> Tensor:
        height, width = input.shape[-2:]
        largest = self.kind == "max"
        if height % self.size or width % self.size:
            return (F.adaptive_max_pool2d if largest else F.adaptive_avg_pool2d)(input, self.size)
        return (F.max_pool2d if largest else F.avg_pool2d)(input, (height // self.size, width // self.size))

    def extra_repr(self) -> str:
        return f"{self.size}, {self.kind}"
