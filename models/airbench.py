"""The networks of airbench for 32x32 images (K. Jordan 2024, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU").

N images, C channels, H = W = 32 pixels at the input, K classes. Sides from 18 to 32 pixels and more fit as well, since
the last pooling is global.
"""

from functools import partial
from typing import Literal

from torch import Tensor, nn

from models.bounds import AnyNumber, GhostSize, Width
from models.layers import Act, GhostBatchNorm, NormLayer, PatchWhitening, activation
from models.network import Network, Scale
from models.registry import register

_NOTE = (
    "BatchNorm's eps is torch's 1e-5, where the code has 1e-12. The head is drawn as torch draws it, as in the paper:"
    " airbench94_muon scales it to a unit deviation and divides the logits by the width, which is the same up to a"
    " factor of the head's rate."
)
_variant = partial(
    register,
    source="Jordan 2024, arXiv 2404.00498, section 3 and appendix A, and github.com/KellerJordan/cifar10-airbench",
    init="dirac",
    note=_NOTE,
)


class _Group(nn.Module):  # [N, c_in, H, W] -> [N, c_out, H // 2, W // 2]
    """Convolution, pooling, norm, activation; convolution, norm, activation; of depth 3 one more, with a shortcut."""

    def __init__(self, c_in: int, c_out: int, *, depth: Literal[2, 3], norm: NormLayer, act: Act) -> None:
        super().__init__()
        self.halve = nn.Sequential(_conv(c_in, c_out), nn.MaxPool2d(2), norm(c_out), activation(act))
        self.second = nn.Sequential(_conv(c_out, c_out), norm(c_out))
        self.third = nn.Sequential(activation(act), _conv(c_out, c_out), norm(c_out)) if depth == 3 else None
        self.act = activation(act)

    def forward(self, input: Tensor) -> Tensor:
        halved = self.halve(input)
        out = self.second(halved)
        return self.act(out if self.third is None else halved + self.third(out))


@_variant("airbench94", about="Three groups of two convolutions on whitened 2x2 patches, 64 to 256 channels wide.")
@_variant(
    "airbench95",
    about="airbench94 with 128 to 384 channels.",
    defaults={"widths": (128, 384, 384)},
)
@_variant(
    "airbench96",
    about="airbench94 with 128 to 512 channels and three convolutions a group, the last two in a residual.",
    defaults={"widths": (128, 384, 512), "depth": 3},
)
def airbench(
    *,
    widths: tuple[Width, Width, Width] = (64, 256, 256),
    depth: Literal[2, 3] = 2,
    act: Act = "gelu",
    ghost_size: GhostSize = 0,
    fixed_scale: bool = True,
    whitening_bias: bool = True,
    logit_scale: AnyNumber = 1 / 9,
    num_classes: int = 10,
    in_channels: int = 3,
) -> Network:
    """Three groups of convolutions on whitened 2x2 patches, without a shortcut around the pooling.

    `widths` are the channels of the groups. `whitening_bias` is trained: give it a rate and an end of its own with
    `optimizer.first_bias`.
    """
    norm = partial(_norm, ghost_size=ghost_size, fixed_scale=fixed_scale)
    group = partial(_Group, depth=depth, norm=norm, act=act)
    whitening = PatchWhitening(in_channels, kernel_size=2, signed=True, bias=whitening_bias, eps=5e-4)
    first, second, third = widths
    features = {
        "stem": nn.Sequential(whitening, activation(act)),
        "group1": group(whitening.out_channels, first),
        "group2": group(first, second),
        "group3": group(second, third),
    }
    classifier = nn.Linear(third, num_classes, bias=False)
    return Network(features, nn.Sequential(nn.AdaptiveMaxPool2d(1), nn.Flatten(), classifier, Scale(logit_scale)))


def _conv(c_in: int, c_out: int) -> nn.Conv2d:
    return nn.Conv2d(c_in, c_out, kernel_size=3, padding=1, bias=False)


def _norm(channels: int, *, ghost_size: int, fixed_scale: bool) -> nn.Module:
    norm = GhostBatchNorm(channels, ghost_size=ghost_size, fixed_scale=fixed_scale)
    norm.momentum = 0.4  # the published code keeps 0.6: a run of a few hundred steps must forget faster
    return norm
