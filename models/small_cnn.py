"""The three convolutional networks of report dfbc, with the layers that give its printed parameter counts."""

from itertools import pairwise

from torch import nn

from models.bounds import Rate
from models.layers import Act, Norm, activation, dropout_layer, norm_layer
from models.network import Network
from models.registry import register
from models.resnet import residual_network


@register(source="report dfbc, CNN part, summary table", init="torch", published="1,147,466")
def basic_cnn(
    *,
    act: Act = "relu",
    num_classes: int = 10,
    in_channels: int = 3,
    image_size: int = 32,
) -> Network:
    """Three convolutions, each with pooling, and two linear layers."""
    features = {
        f"stage{stage}": nn.Sequential(
            nn.Conv2d(c_in, c_out, kernel_size=3, padding=1), activation(act), nn.MaxPool2d(2)
        )
        for stage, (c_in, c_out) in enumerate(pairwise((in_channels, 32, 64, 128)), start=1)
    }
    flat = 128 * _eighth(image_size) ** 2
    head = nn.Sequential(nn.Flatten(), nn.Linear(flat, 512), activation(act), nn.Linear(512, num_classes))
    return Network(features, head)


@register(source="report dfbc, CNN part, summary table", init="torch", published="12,906,250")
def improved_cnn(
    *,
    dropout: Rate = 0.5,
    act: Act = "relu",
    norm: Norm = "batch",
    num_classes: int = 10,
    in_channels: int = 3,
    image_size: int = 32,
) -> Network:
    """Six convolutions and a hidden linear layer, all with biases and BatchNorm."""
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
    return Network(features, head)


@register(source="report dfbc, CNN part, summary table", init="torch", published="2,816,074")
def residual_cnn(
    *,
    act: Act = "relu",
    norm: Norm = "batch",
    num_classes: int = 10,
    in_channels: int = 3,
) -> Network:
    """Three stages of two basic residual blocks, pooled to 4x4 before the linear head."""
    return residual_network((2, 2, 2), pool=4, act=act, norm=norm, num_classes=num_classes, in_channels=in_channels)


def _eighth(image_size: int) -> int:
    """Return the side of the maps after three poolings."""
    if image_size < 8:
        raise ValueError(f"image_size={image_size}: should be at least 8, which three poolings halve")
    return image_size // 8
