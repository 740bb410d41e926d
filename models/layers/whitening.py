"""Patch whitening (Page 2019, "How to Train Your ResNet", part 8): a first convolution computed, not learned."""

import torch
from torch import Tensor, nn

_EPS = 1e-2  # of the published code; keeps the flattest patch directions from being amplified


class PatchWhitening(nn.Conv2d):
    """Frozen 3x3 convolution onto the eigenvectors of training patches, each scaled to about unit variance.

    [N, C, H, W] -> [N, 9C, H, W]. Random orthogonal directions until `fit` has seen training images.
    """

    def __init__(self, in_channels: int = 3) -> None:
        size = 9 * in_channels
        super().__init__(in_channels, size, kernel_size=3, padding=1, bias=False)
        nn.init.orthogonal_(self.weight)
        self.weight.requires_grad_(False)

    @torch.no_grad()
    def fit(self, images: Tensor) -> None:
        """Compute the filters from normalised images [N, C, H, W]. A few thousand are enough."""
        c = images.shape[1]
        gram = torch.zeros(9 * c, 9 * c, dtype=torch.float64)
        count = 0
        for part in images.split(500):
            patches = part.float().unfold(2, 3, 1).unfold(3, 3, 1)  # [n, C, H-2, W-2, 3, 3]
            rows = patches.permute(0, 2, 3, 1, 4, 5).reshape(-1, 9 * c)
            gram += (rows.T @ rows).double().cpu()
            count += len(rows)
        values, vectors = torch.linalg.eigh(gram / (count - 1))  # ascending
        filters = (vectors / (values + _EPS).sqrt()).T.flip(0).reshape(9 * c, c, 3, 3)
        self.weight.copy_(filters)
