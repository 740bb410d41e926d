"""Ghost Batch Normalisation (Hoffer, Hubara & Soudry 2017, "Train longer, generalize better", algorithm 1).

A batch is cut into groups of about `ghost_size` images and each is normalised by its own statistics.

Running statistics exist in two forms. Hoffer et al. update one set after each group in turn; FastResNet9's code
(after Page) keeps a set per group and averages the sets at evaluation. Exponential averages are linear, so the
second equals one set that moves once a step by the *mean over the groups*. That is the form here: it needs no state
that depends on the number of groups, whose number and sizes may change. Groups of unequal size have equal weights in
that mean: of groups of 4, 4 and 3 images, each of the last three images has a little more weight.
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
        assert self.running_mean is not None
        means = self.running_mean.new_zeros(groups, self.num_features)
        variances = torch.zeros_like(means)
        small, larger = divmod(len(input), groups)
        sizes = [small + (group < larger) for group in range(groups)]  # split, unlike tensor_split, has one backward
        parts = [  # momentum 1 writes a group's own mean and unbiased variance into its row
            F.batch_norm(part, mean, variance, self.weight, self.bias, training=True, momentum=1.0, eps=self.eps)
            for part, mean, variance in zip(input.split(sizes), means, variances, strict=True)
        ]
        self._move_running_statistics(means.mean(0), variances.mean(0))
        return torch.cat(parts)

    def _check_input_dim(self, input: Tensor) -> None:
        """Accept any shape [N, C, ...]."""

    def _move_running_statistics(self, mean: Tensor, variance: Tensor) -> None:
        assert self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None
        running = self.running_mean, self.running_var
        batch = mean.to(self.running_mean.dtype), variance.to(self.running_var.dtype)
        move_running_statistics(running, batch, self.num_batches_tracked, self.momentum)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, ghost_size={self.ghost_size}"
