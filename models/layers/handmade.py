"""BatchNorm with a biased running variance, and dropout, of report 44da. torch's kernels compute the statistics."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.layers.dropout import check_rate
from models.layers.running import move_running_statistics


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
        """Raises ValueError in training for one value a channel, which has no variance."""
        if not self.training:
            return F.batch_norm(input, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        # With momentum 1, torch overwrites these with the batch's mean and unbiased variance. Separate operations make
        # a step of handmade_cnn take 1.4 times as long.
        mean, var = torch.zeros_like(self.running_mean), torch.zeros_like(self.running_var)
        normalized = F.batch_norm(input, mean, var, self.weight, self.bias, training=True, momentum=1.0, eps=self.eps)
        count = input.numel() // input.shape[1]
        batch = mean, var if self.unbiased_running_variance else var * ((count - 1) / count)
        move_running_statistics((self.running_mean, self.running_var), batch, self.num_batches_tracked, self.momentum)
        return normalized

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
        draws = torch.rand_like(input, dtype=torch.promote_types(input.dtype, torch.float32))  # 16 bits keep too few
        kept = draws.ge_(self.p).to(input.dtype)  # ones and zeros: a product with booleans takes 1.4 times as long
        return input * kept / (1 - self.p)

    def extra_repr(self) -> str:
        return f"p={self.p}"
