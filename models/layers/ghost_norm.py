"""Ghost Batch Normalisation (Hoffer, Hubara & Soudry 2017, "Train longer, generalize better", algorithm 1).

A batch is cut into groups of about `ghost_size` images and each is normalised by its own statistics.

Running statistics exist in two forms. Hoffer et al. update one set after each group in turn; FastResNet9's code
(after Page) keeps a set per group and averages the sets at evaluation. Exponential averages are linear, so the
second equals one set that moves once a step by the *mean over the groups*. That is the form here: it needs no state
that depends on the number of groups, whose number and sizes may change. Groups of unequal size have equal weights in
that mean: of groups of 4, 4 and 3 images, each of the last three images has a little more weight.

A GPU takes groups of one size in one go, which saves hundreds of launches a step. So does torch.compile.
"""

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from models.layers.running import move_running_statistics


class GhostBatchNorm(_BatchNorm):
    """BatchNorm over groups of about `ghost_size` images: [N, C] or [N, C, H, W] -> the same.

    N images make max(1, round(N / ghost_size)) groups whose sizes differ by at most one, so a batch that does not
    divide leaves no small group with noisy statistics behind. With one group, or `ghost_size` 0, it equals BatchNorm1d
    or BatchNorm2d.
    """

    def __init__(self, num_features: int, *, ghost_size: int = 32, fixed_scale: bool = False) -> None:
        """Raises ValueError for a negative size."""
        super().__init__(num_features)
        if ghost_size < 0:
            raise ValueError(f"ghost_size={ghost_size}: should be at least 0, which is BatchNorm over the whole batch")
        self.ghost_size = ghost_size
        self.weight.requires_grad_(not fixed_scale)

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:  # before images are counted: torch.export would fix their number
            return super().forward(input)
        groups = max(1, round(len(input) / self.ghost_size)) if self.ghost_size else 1
        if groups == 1:
            return super().forward(input)
        small, larger = len(input) // groups, len(input) % groups  # torch.compile knows no divmod of sizes that vary
        alike = not larger and input.numel() > groups * self.num_features
        if alike and (
            input.is_cuda or torch.compiler.is_compiling()
        ):  # on a CPU the bits of stored runs are the loop's
            return self._at_once(input, groups)
        return self._one_by_one(input, [small + (group < larger) for group in range(groups)])

    def _one_by_one(self, input: Tensor, sizes: list[int]) -> Tensor:
        assert self.running_mean is not None
        means = self.running_mean.new_zeros(len(sizes), self.num_features)
        variances = torch.zeros_like(means)
        cut = input.split(sizes)  # unlike tensor_split, it has one backward
        parts = [  # momentum 1 writes a group's own mean and unbiased variance into its row
            F.batch_norm(part, mean, variance, self.weight, self.bias, training=True, momentum=1.0, eps=self.eps)
            for part, mean, variance in zip(cut, means, variances, strict=True)
        ]
        self._move_running_statistics(means.mean(0), variances.mean(0))
        return torch.cat(parts)

    def _at_once(self, input: Tensor, groups: int) -> Tensor:
        """Normalise groups of one size, of more than one value a channel. Sums of shorter formats are float32."""
        values = input.unflatten(0, (groups, -1)).to(torch.promote_types(input.dtype, torch.float32))  # [G, n, C, ...]
        over = [axis for axis in range(values.ndim) if axis not in (0, 2)]
        variance, mean = torch.var_mean(values, over, correction=0, keepdim=True)
        weight, bias = (each.view(-1, *[1] * (input.ndim - 2)) for each in (self.weight, self.bias))
        scale = weight * (variance + self.eps).rsqrt()
        count = input.numel() // mean.numel()
        unbiased = variance.detach().mean(0).flatten() * (count / (count - 1))
        self._move_running_statistics(mean.detach().mean(0).flatten(), unbiased)
        return torch.addcmul(bias - mean * scale, values, scale).to(input.dtype).flatten(0, 1)

    def _check_input_dim(self, input: Tensor) -> None:
        """Accept any shape [N, C, ...]."""

    def _move_running_statistics(self, mean: Tensor, variance: Tensor) -> None:
        assert self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None
        running = self.running_mean, self.running_var
        batch = mean.to(self.running_mean.dtype), variance.to(self.running_var.dtype)
        move_running_statistics(running, batch, self.num_batches_tracked, self.momentum)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, ghost_size={self.ghost_size}"
