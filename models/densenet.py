"""DenseNet-BC for 32x32 images (Huang et al. 2017, arXiv 1608.06993): bottlenecks, and compression between stages."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from models.bounds import Rate, Share, Width
from models.layers import Act, Norm, NormLayer, activation, dropout_layer, norm_layer
from models.network import Network
from models.registry import register


class DenseLayer(nn.Sequential):  # [N, c, H, W] -> [N, c + growth, H, W]
    """The input, followed by the new channels that the parts make of it."""

    def forward(self, input: Tensor) -> Tensor:
        return torch.cat([input, super().forward(input)], dim=1)


@register(
    "densenet100_bc",
    depths=(16, 16, 16),
    about="DenseNet-BC of 100 layers in three stages.",
    source="Huang et al. 2017, section 3 and table 2, and report b35c, table 7",
    init="kaiming",
    published="0.77M",
)
@register(
    "densenet121",
    depths=(6, 12, 24, 16),
    defaults={"growth": 32},
    about="DenseNet-121, of four stages, with a 3x3 stem.",
    source="Huang et al. 2017, table 1, and report b35c, table 7",
    init="kaiming",
    published="6.96M",
    note="Stem of one 3x3 convolution of stride 1, for small images. The paper's is 7x7, stride 2, norm, pooled.",
)
def densenet(
    depths: Sequence[int],
    *,
    growth: Width = 12,
    compression: Share = 0.5,
    dropout: Rate = 0.0,
    act: Act = "relu",
    norm: Norm = "batch",
    num_classes: int = 10,
    in_channels: int = 3,
) -> Network:
    """DenseNet-BC with a stage of dense layers for each of `depths`.

    The paper's `dropout`, after each convolution but the first, is 0.2 for data without augmentation.
    """
    if not 0 < compression <= 1:
        raise ValueError(f"compression={compression}: should be more than 0 and at most 1")
    new_norm = norm_layer(norm)
    unit = partial(_norm_act_conv, norm=new_norm, act=act, dropout=dropout)

    def layer(c: int) -> DenseLayer:
        return DenseLayer(*unit(c, 4 * growth, kernel=1), *unit(4 * growth, growth, kernel=3))

    c = 2 * growth
    features: dict[str, nn.Module] = {"stem": nn.Conv2d(in_channels, c, kernel_size=3, padding=1, bias=False)}
    for stage, depth in enumerate(depths, start=1):
        if stage > 1:
            c_in, c = c, int(compression * c)
            features[f"transition{stage - 1}"] = nn.Sequential(*unit(c_in, c, kernel=1), nn.AvgPool2d(2))
        features[f"stage{stage}"] = nn.Sequential(*[layer(c + growth * before) for before in range(depth)])
        c += growth * depth
    features["norm"] = nn.Sequential(new_norm(c), activation(act))
    return Network(features, nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(c, num_classes)))


def _norm_act_conv(c_in: int, c_out: int, *, kernel: int, norm: NormLayer, act: Act, dropout: float) -> list[nn.Module]:
    conv = nn.Conv2d(c_in, c_out, kernel, padding=kernel // 2, bias=False)
    return [norm(c_in), activation(act), conv, dropout_layer(dropout)]
