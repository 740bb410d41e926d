"""ResNet-9 for 32x32 pictures, after D. Page, "How to Train Your ResNet" (2019, davidcpage/cifar10-fast).

N pictures, C channels, H = W = 32 pixels at the input, K classes. The reports' two forms: `resnet9` (report b35c,
table 8) and `fastresnet9` (table 9), whose blocks pool first, so that norm and activation see a quarter of the pixels.
"""

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn

from models.layers import GhostBatchNorm2d, PatchWhitening
from models.registry import register

Norm = Callable[[int], nn.Module]


class ConvNormPool(nn.Sequential):  # [N, c_in, H, W] -> [N, c_out, H/2, W/2]
    """Conv, norm, GELU, pool."""

    def __init__(self, c_in: int, c_out: int, norm: Norm) -> None:
        super().__init__(_conv3(c_in, c_out), norm(c_out), nn.GELU(), nn.MaxPool2d(2))


class ConvPoolNorm(nn.Sequential):  # [N, c_in, H, W] -> [N, c_out, H/2, W/2]
    """Conv, pool, norm, GELU. Pooling first leaves the norm a quarter of the pixels."""

    def __init__(self, c_in: int, c_out: int, norm: Norm) -> None:
        super().__init__(_conv3(c_in, c_out), nn.MaxPool2d(2), norm(c_out), nn.GELU())


class Residual(nn.Sequential):  # [N, c, H, W] -> [N, c, H, W]
    """x plus two convolutions of it, each with norm and GELU."""

    def __init__(self, c: int, norm: Norm) -> None:
        super().__init__(_conv3(c, c), norm(c), nn.GELU(), _conv3(c, c), norm(c), nn.GELU())

    def forward(self, input: Tensor) -> Tensor:
        return input + super().forward(input)


class ResNet9(nn.Module):  # [N, C, 32, 32] -> [N, K]
    """A stem, then three halving blocks with a residual after the first and the last, max pooling, linear head."""

    def __init__(
        self, stem: nn.Module, width: int, num_classes: int, *, block: type[nn.Module], norm: Norm, logit_scale: float
    ) -> None:
        super().__init__()
        w = width
        self.features = nn.Sequential(
            stem,
            block(w, 2 * w, norm),
            Residual(2 * w, norm),
            block(2 * w, 4 * w, norm),
            block(4 * w, 8 * w, norm),
            Residual(8 * w, norm),
        )
        self.head = nn.Sequential(nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(8 * w, num_classes, bias=False))
        self.logit_scale = logit_scale

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.features(images)) * self.logit_scale


class WhitenedResNet9(ResNet9):
    """A ResNet9 whose stem begins with `PatchWhitening`."""

    def prepare(self, images: Tensor) -> None:
        """Set what is computed from data, once before training: the whitening, from normalised pictures."""
        whitening = self.get_submodule("features.0.0")
        assert isinstance(whitening, PatchWhitening)
        whitening.fit(images)


@register
def resnet9(*, width: int = 64, num_classes: int = 10, in_channels: int = 3) -> ResNet9:
    """ResNet-9 with BatchNorm and GELU; 6,573,120 parameters (published: 6.57M)."""
    stem = nn.Sequential(_conv3(in_channels, width), nn.BatchNorm2d(width), nn.GELU())
    return ResNet9(stem, width, num_classes, block=ConvNormPool, norm=nn.BatchNorm2d, logit_scale=1.0)


@register
def fastresnet9(
    *, width: int = 64, ghost_size: int = 32, logit_scale: float = 0.125, num_classes: int = 10, in_channels: int = 3
) -> WhitenedResNet9:
    """ResNet-9 with whitened patches, ghost BatchNorm of fixed scale, pooling before norm; 6,573,849 parameters."""
    norm = partial(GhostBatchNorm2d, ghost_size=ghost_size, fixed_scale=True)
    mix = nn.Conv2d(9 * in_channels, width, kernel_size=1, bias=False)
    stem = nn.Sequential(PatchWhitening(in_channels), mix, norm(width), nn.GELU())
    return WhitenedResNet9(stem, width, num_classes, block=ConvPoolNorm, norm=norm, logit_scale=logit_scale)


def _conv3(c_in: int, c_out: int) -> nn.Conv2d:
    return nn.Conv2d(c_in, c_out, kernel_size=3, padding=1, bias=False)
