"""The three convolutional networks of report dfbc, in the layers that hit its printed parameter counts."""

from itertools import pairwise

from torch import Tensor, nn

from models.layers import Act, Init, Norm, NormLayer, PoolTo, activation, dropout_layer, initialise, norm_layer
from models.network import Network
from models.registry import register


@register(source="report dfbc, CNN part, summary table", published="1,147,466")
def basic_cnn(
    *,
    act: Act = "relu",
    init: Init = "paper",
    num_classes: int = 10,
    in_channels: int = 3,
    image_size: int = 32,
) -> Network:
    """Three convolutions, each with pooling, and two linear layers. Initialisation: torch's."""
    features = {
        f"stage{stage}": nn.Sequential(
            nn.Conv2d(c_in, c_out, kernel_size=3, padding=1), activation(act), nn.MaxPool2d(2)
        )
        for stage, (c_in, c_out) in enumerate(pairwise((in_channels, 32, 64, 128)), start=1)
    }
    flat = 128 * _eighth(image_size) ** 2
    head = nn.Sequential(nn.Flatten(), nn.Linear(flat, 512), activation(act), nn.Linear(512, num_classes))
    net = Network(features, head)
    initialise(net, init, paper="torch")
    return net


@register(source="report dfbc, CNN part, summary table", published="12,906,250")
def improved_cnn(
    *,
    dropout: float = 0.5,
    act: Act = "relu",
    norm: Norm = "batch",
    init: Init = "paper",
    num_classes: int = 10,
    in_channels: int = 3,
    image_size: int = 32,
) -> Network:
    """Six convolutions and a hidden linear layer, all with biases and BatchNorm. Initialisation: torch's."""
    norm_2d, norm_1d = norm_layer(norm), norm_layer(norm, dims=1)

    def stage(c_in: int, c_mid: int, c_out: int) -> nn.Sequential:  # [N, c_in, H, W] -> [N, c_out, H/2, W/2]
        layers: list[nn.Module] = []
        for a, b in ((c_in, c_mid), (c_mid, c_out)):
            layers += [nn.Conv2d(a, b, kernel_size=3, padding=1), norm_2d(b), activation(act)]
        return nn.Sequential(*layers, nn.MaxPool2d(2))

    features = {"stage1": stage(in_channels, 64, 128), "stage2": stage(128, 256, 256), "stage3": stage(256, 512, 512)}
    head = nn.Sequential(
        nn.Flatten(),
        nn.Linear(512 * _eighth(image_size) ** 2, 1024),
        norm_1d(1024),
        activation(act),
        dropout_layer(dropout),
        nn.Linear(1024, num_classes),
    )
    net = Network(features, head)
    initialise(net, init, paper="torch")
    return net


@register(source="report dfbc, CNN part, summary table", published="2,816,074")
def residual_cnn(
    *,
    act: Act = "relu",
    norm: Norm = "batch",
    init: Init = "paper",
    num_classes: int = 10,
    in_channels: int = 3,
) -> Network:
    """Three stages of two basic residual blocks, pooled to 4x4 before the linear head. Initialisation: torch's."""
    new_norm = norm_layer(norm)

    def stage(c_in: int, c_out: int, stride: int) -> nn.Sequential:
        return nn.Sequential(
            ResidualBlock(c_in, c_out, stride, new_norm, act), ResidualBlock(c_out, c_out, 1, new_norm, act)
        )

    features = {
        "stem": nn.Sequential(
            nn.Conv2d(in_channels, 64, kernel_size=3, padding=1, bias=False), new_norm(64), activation(act)
        ),
        "stage1": stage(64, 64, 1),
        "stage2": stage(64, 128, 2),
        "stage3": stage(128, 256, 2),
    }
    head = nn.Sequential(PoolTo(4, "mean"), nn.Flatten(), nn.Linear(256 * 4**2, num_classes))
    net = Network(features, head)
    initialise(net, init, paper="torch")
    return net


class ResidualBlock(nn.Module):  # [N, c_in, H, W] -> [N, c_out, H/stride, W/stride]
    """The basic block of He et al. 2016; its shortcut is a 1x1 convolution and norm where the shape changes."""

    def __init__(self, c_in: int, c_out: int, stride: int, norm: NormLayer, act: Act) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(c_in, c_out, kernel_size=3, stride=stride, padding=1, bias=False),
            norm(c_out),
            activation(act),
            nn.Conv2d(c_out, c_out, kernel_size=3, padding=1, bias=False),
            norm(c_out),
        )
        self.shortcut = nn.Identity()
        if stride != 1 or c_in != c_out:
            project = nn.Conv2d(c_in, c_out, kernel_size=1, stride=stride, bias=False)
            self.shortcut = nn.Sequential(project, norm(c_out))
        self.act = activation(act)

    def forward(self, input: Tensor) -> Tensor:
        return self.act(self.body(input) + self.shortcut(input))


def _eighth(image_size: int) -> int:
    """The side of the maps after three poolings."""
    if image_size < 8:
        raise ValueError(f"image_size={image_size}: should be at least 8, which three poolings halve")
    return image_size // 8
