"""Residual networks (He et al. 2016, arXiv 1512.03385) with a stem for 32x32 pictures.

timm's blocks are the paper's; only the ImageNet stem (7x7 stride 2, then max pooling) is replaced by a 3x3
convolution of stride 1, as the reports and most CIFAR code do.
"""

from typing import Any

from torch import nn

from models.registry import register


@register
def resnet18(*, num_classes: int = 10, in_channels: int = 3) -> nn.Module:
    """ResNet-18, 3x3 stem without pooling; 11,173,962 parameters (published: 11.17M)."""
    return _cifar_resnet((2, 2, 2, 2), num_classes, in_channels)


def _cifar_resnet(blocks: tuple[int, ...], num_classes: int, in_channels: int) -> nn.Module:
    from timm.models.resnet import BasicBlock, ResNet  # takes a second and torchvision: only where it is needed

    block: Any = BasicBlock  # timm annotates the argument as an instance and means the class
    net = ResNet(block, layers=blocks, num_classes=num_classes, in_chans=in_channels, zero_init_last=False)
    net.conv1 = nn.Conv2d(in_channels, 64, kernel_size=3, padding=1, bias=False)
    nn.init.kaiming_normal_(net.conv1.weight, mode="fan_out", nonlinearity="relu")
    net.maxpool = nn.Identity()
    return net
