"""BatchNorm and dropout written out, as students of report 44da wrote them: no `torch.nn.functional` inside."""

import torch
from torch import Tensor, nn

from models.layers.dropout import check_rate


class HandmadeBatchNorm(nn.Module):
    """Batch normalisation (Ioffe & Szegedy 2015, algorithms 1 and 2): [N, C] or [N, C, H, W] -> the same.

    Equal to torch's BatchNorm1d and BatchNorm2d, except that the report's running variance keeps the *biased* variance
    of a batch. `unbiased_running_variance` keeps the unbiased one, as in torch and algorithm 2. A `momentum` of None
    means the mean over all batches since the last reset.
    """

    running_mean: Tensor  # [C]
    running_var: Tensor  # [C]
    num_batches_tracked: Tensor  # []

    def __init__(
        self,
        num_features: int,
        *,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        unbiased_running_variance: bool = False,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(num_features))
        self.bias = nn.Parameter(torch.zeros(num_features))
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features))
        self.register_buffer("num_batches_tracked", torch.tensor(0))
        self.eps, self.momentum, self.unbiased_running_variance = eps, momentum, unbiased_running_variance

    def forward(self, input: Tensor) -> Tensor:
        x = input.to(torch.promote_types(input.dtype, torch.float32))  # sums over a batch lose too much in 16 bits
        over = [axis for axis in range(x.ndim) if axis != 1]
        shape = [1, -1] + [1] * (x.ndim - 2)
        mean = x.mean(over) if self.training else self.running_mean
        centered = x - mean.view(shape)
        var = centered.square().mean(over) if self.training else self.running_var
        if self.training:
            self._move_running_statistics(mean, var, x.numel() // x.shape[1])
        # One factor a channel, so that the batch is walked through once and not three times.
        scale = self.weight / (var + self.eps).sqrt()
        return torch.addcmul(self.bias.view(shape), centered, scale.view(shape)).to(input.dtype)

    @torch.no_grad()
    def _move_running_statistics(self, mean: Tensor, var: Tensor, count: int) -> None:
        """Update from `count` values a channel. Raises ValueError for one, which has no unbiased variance."""
        if count == 1:
            raise ValueError("BatchNorm needs more than one value a channel in training")
        kept = var * count / (count - 1) if self.unbiased_running_variance else var
        self.num_batches_tracked += 1
        share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        for running, of_batch in ((self.running_mean, mean), (self.running_var, kept)):
            running.lerp_(of_batch.to(running.dtype), share)

    def reset_running_stats(self) -> None:
        self.running_mean.zero_()
        self.running_var.fill_(1)
        self.num_batches_tracked.zero_()

    def extra_repr(self) -> str:
        kept = "unbiased" if self.unbiased_running_variance else "biased"
        return f"{len(self.weight)}, eps={self.eps}, momentum={self.momentum}, {kept} running variance"


class HandmadeDropout(nn.Module):
    """Inverted dropout (Srivastava et al. 2014, section 10): units that are kept are divided by 1 - p."""

    def __init__(self, p: float = 0.5) -> None:
        """Raises ValueError for a probability outside [0, 1)."""
        super().__init__()
        check_rate(p)
        self.p = p

    def forward(self, input: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return input
        kept = torch.rand_like(input) >= self.p
        return input * kept / (1 - self.p)

    def extra_repr(self) -> str:
        return f"p={self.p}"
