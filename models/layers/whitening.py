"""Patch whitening (Page 2019, "How to Train Your ResNet", part 8): a first convolution computed, not learned."""

import torch
from torch import Tensor, nn


class PatchWhitening(nn.Conv2d):
    """Frozen kxk convolution onto the eigenvectors of training patches, each scaled to about unit variance.

    [N, C, H, W] -> [N, k * k * C, H', W']. An odd k keeps the sides and pads with 0; an even one pads nothing, and
    H' = H - k + 1. Random orthogonal directions until `fit` has seen training images.
    """

    def __init__(
        self,
        in_channels: int = 3,
        *,
        kernel_size: int = 3,
        signed: bool = False,
        bias: bool = False,
        eps: float = 1e-2,
    ) -> None:
        """`signed` adds the negative of each filter, so that both signs pass the activation behind it: twice as many
        channels. `bias` is trained, from 0. `eps` keeps the flattest directions of patches from being amplified; its
        default is that of Page's code.
        """
        size = in_channels * kernel_size**2
        padding = kernel_size // 2 if kernel_size % 2 else 0
        super().__init__(in_channels, (1 + signed) * size, kernel_size=kernel_size, padding=padding, bias=bias)
        self.signed, self.eps = signed, eps
        self._set(nn.init.orthogonal_(torch.empty(size, size)))
        self.weight.requires_grad_(False)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    @torch.no_grad()
    def fit(self, images: Tensor) -> None:
        """Compute the filters from normalised images [N, C, H, W]. A few thousand are enough."""
        k, size = self.kernel_size[0], self.weight[0].numel()
        gram = torch.zeros(size, size, dtype=torch.float64)
        count = 0
        for part in images.split(500):
            patches = part.float().unfold(2, k, 1).unfold(3, k, 1)  # [n, C, H-k+1, W-k+1, k, k]
            rows = patches.permute(0, 2, 3, 1, 4, 5).reshape(-1, size)
            gram += (rows.T @ rows).double().cpu()
            count += len(rows)
        values, vectors = torch.linalg.eigh(gram / (count - 1))  # ascending
        self._set((vectors / (values + self.eps).sqrt()).T.flip(0))

    @torch.no_grad()
    def _set(self, filters: Tensor) -> None:  # [size, size], a filter a row
        filters = torch.cat([filters, -filters]) if self.signed else filters
        self.weight.copy_(filters.view_as(self.weight))
