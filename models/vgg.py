"""VGG (Simonyan & Zisserman 2015, arXiv 1409.1556, table 1) for 32x32 images, which five poolings reduce to 1x1.

Its two hidden linear layers are 512 units wide, not 4096, as in the VGG-A of the reports.
The paper's columns differ in the number of 3x3 convolutions before each pooling. It draws weights from N(0, 0.01) and
starts deep columns from a trained shallow one. The authors found after submission that Xavier's scheme makes this
unnecessary (section 3.1). Santurkar et al. 2018 use that scheme too.
"""

from functools import partial

from torch import nn

from models.bounds import Rate, Width
from models.layers import Act, Norm, activation, dropout_layer, norm_layer
from models.network import Network
from models.registry import register

_PROPORTIONS = (1, 2, 4, 8, 8)  # of the stages' channels: from 64 to 512 in the paper
_NOTE = (
    "Two hidden linear layers of 512 units, as in the reports. The paper has 4096, for last maps of 7x7, which are 1x1"
    " here. No dropout by default, as in the reports' baselines. The paper has 0.5."
)
_TABLE = "Simonyan & Zisserman 2015, table 1, column"
_REPORTS = "reports f2d6, b35c, dfbc, a0b5"
_variant = partial(register, init="xavier", note=_NOTE)


@_variant(
    "vgg_a",
    convolutions=(1, 1, 2, 2, 2),
    about="VGG-A, 8 convolutions. `width` is the channels of the first, `norm` follows each, and `dropout` follows each"
    " hidden linear layer.",
    source=f"{_TABLE} A; {_REPORTS}",
)
@_variant(
    "vgg_a_bn",
    convolutions=(1, 1, 2, 2, 2),
    norm="batch",
    about="VGG-A with BatchNorm: `vgg_a` with norm=batch, by the reports' name.",
    source=f"Santurkar et al. 2018, arXiv 1805.11604; {_REPORTS}",
    published="+0.067%",
    settled=False,
    note=f"{_NOTE} Report a0b5 prints +0.067% parameters over vgg_a. The eight BatchNorm2d add +0.0564%; one more"
    " BatchNorm1d(512) would reach the printed figure. The convolutions keep their biases. There is no `norm` argument,"
    " as the name already says which.",
)
@_variant("vgg_b", convolutions=(2, 2, 2, 2, 2), about="VGG-B, 10 convolutions.", source=f"{_TABLE} B")
@_variant("vgg_d", convolutions=(2, 2, 3, 3, 3), about='VGG-D, 13 convolutions ("VGG-16").', source=f"{_TABLE} D")
@_variant("vgg_e", convolutions=(2, 2, 4, 4, 4), about='VGG-E, 16 convolutions ("VGG-19").', source=f"{_TABLE} E")
def vgg(
    convolutions: tuple[int, ...],
    *,
    norm: Norm = "none",
    width: Width = 64,
    dropout: Rate = 0.0,
    head_width: Width = 512,
    act: Act = "relu",
    num_classes: int = 10,
    in_channels: int = 3,
    image_size: int = 32,
) -> Network:
    """VGG with the given numbers of 3x3 convolutions before the five poolings."""
    side = image_size // 32
    if side < 1:
        raise ValueError(f"image_size={image_size}: should be at least 32, which five poolings halve")
    new_norm = norm_layer(norm)
    features: dict[str, nn.Module] = {}
    c_in = in_channels
    for stage, (count, proportion) in enumerate(zip(convolutions, _PROPORTIONS, strict=True), start=1):
        c_out = width * proportion
        layers: list[nn.Module] = []
        for _ in range(count):
            layers += [nn.Conv2d(c_in, c_out, kernel_size=3, padding=1), new_norm(c_out), activation(act)]
            c_in = c_out
        features[f"stage{stage}"] = nn.Sequential(*layers, nn.MaxPool2d(2))
    head = nn.Sequential(
        nn.Flatten(),
        nn.Linear(c_in * side**2, head_width),
        activation(act),
        dropout_layer(dropout),
        nn.Linear(head_width, head_width),
        activation(act),
        dropout_layer(dropout),
        nn.Linear(head_width, num_classes),
    )
    return Network(features, head)
