"""VGG (Simonyan & Zisserman 2015, arXiv 1409.1556, table 1) for 32x32 images, which five poolings bring to 1x1.

Its two hidden linear layers are 512 units wide, not 4096, as in the VGG-A of Santurkar et al. 2018 and of the reports.
The paper's columns differ in the number of 3x3 convolutions before each pooling.
"""

from torch import nn

from models.layers import Act, Init, Norm, activation, dropout_layer, initialise, norm_layer
from models.network import Network
from models.registry import register

_WIDTHS = (64, 128, 256, 512, 512)


@register(source="Simonyan & Zisserman 2015, table 1, column A; reports f2d6, b35c, dfbc, a0b5")
def vgg_a(
    *,
    norm: Norm = "none",
    dropout: float = 0.0,
    head_width: int = 512,
    act: Act = "relu",
    init: Init = "paper",
    num_classes: int = 10,
    in_channels: int = 3,
    image_size: int = 32,
) -> Network:
    """VGG-A, 8 convolutions; `norm` after each, `dropout` after each hidden linear layer. Initialisation: Xavier's."""
    return _vgg((1, 1, 2, 2, 2), norm, dropout, head_width, act, init, num_classes, in_channels, image_size)


@register(
    source="Santurkar et al. 2018, arXiv 1805.11604; reports f2d6, b35c, dfbc, a0b5",
    published="+0.067%",
    settled=False,
    note="Report a0b5 prints +0.067% parameters over vgg_a, which no head makes true: BatchNorm after each of the eight"
    " convolutions is +0.0564%. The convolutions keep their biases.",
)
def vgg_a_bn(
    *,
    dropout: float = 0.0,
    head_width: int = 512,
    act: Act = "relu",
    init: Init = "paper",
    num_classes: int = 10,
    in_channels: int = 3,
    image_size: int = 32,
) -> Network:
    """VGG-A with BatchNorm: `vgg_a` of norm=batch by the reports' name. Initialisation: Xavier's."""
    return _vgg((1, 1, 2, 2, 2), "batch", dropout, head_width, act, init, num_classes, in_channels, image_size)


@register(source="Simonyan & Zisserman 2015, table 1, column B")
def vgg_b(
    *,
    norm: Norm = "none",
    dropout: float = 0.0,
    head_width: int = 512,
    act: Act = "relu",
    init: Init = "paper",
    num_classes: int = 10,
    in_channels: int = 3,
    image_size: int = 32,
) -> Network:
    """VGG-B, 10 convolutions. Initialisation: Xavier's."""
    return _vgg((2, 2, 2, 2, 2), norm, dropout, head_width, act, init, num_classes, in_channels, image_size)


@register(source="Simonyan & Zisserman 2015, table 1, column D")
def vgg_d(
    *,
    norm: Norm = "none",
    dropout: float = 0.0,
    head_width: int = 512,
    act: Act = "relu",
    init: Init = "paper",
    num_classes: int = 10,
    in_channels: int = 3,
    image_size: int = 32,
) -> Network:
    """VGG-D, 13 convolutions ("VGG-16"). Initialisation: Xavier's."""
    return _vgg((2, 2, 3, 3, 3), norm, dropout, head_width, act, init, num_classes, in_channels, image_size)


@register(source="Simonyan & Zisserman 2015, table 1, column E")
def vgg_e(
    *,
    norm: Norm = "none",
    dropout: float = 0.0,
    head_width: int = 512,
    act: Act = "relu",
    init: Init = "paper",
    num_classes: int = 10,
    in_channels: int = 3,
    image_size: int = 32,
) -> Network:
    """VGG-E, 16 convolutions ("VGG-19"). Initialisation: Xavier's."""
    return _vgg((2, 2, 4, 4, 4), norm, dropout, head_width, act, init, num_classes, in_channels, image_size)


def _vgg(
    convolutions: tuple[int, ...],
    norm: Norm,
    dropout: float,
    head_width: int,
    act: Act,
    init: Init,
    num_classes: int,
    in_channels: int,
    image_size: int,
) -> Network:
    side = image_size // 32
    if side < 1:
        raise ValueError(f"image_size={image_size}: should be at least 32, which five poolings halve")
    if head_width < 1:
        raise ValueError(f"head_width={head_width}: should be at least 1")
    new_norm = norm_layer(norm)
    features: dict[str, nn.Module] = {}
    c_in = in_channels
    for stage, (count, width) in enumerate(zip(convolutions, _WIDTHS, strict=True), start=1):
        layers: list[nn.Module] = []
        for _ in range(count):
            layers += [nn.Conv2d(c_in, width, kernel_size=3, padding=1), new_norm(width), activation(act)]
            c_in = width
        features[f"stage{stage}"] = nn.Sequential(*layers, nn.MaxPool2d(2))
    head = nn.Sequential(
        nn.Flatten(),
        nn.Linear(512 * side**2, head_width),
        activation(act),
        dropout_layer(dropout),
        nn.Linear(head_width, head_width),
        activation(act),
        dropout_layer(dropout),
        nn.Linear(head_width, num_classes),
    )
    net = Network(features, head)
    initialise(net, init, paper="xavier")  # Santurkar et al. 2018; Simonyan & Zisserman 2015, section 3.1, advise it
    return net
