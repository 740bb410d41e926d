"""Initial weights by the name that you type: `model.init=xavier`."""

from typing import Literal, assert_never

from torch import nn

Init = Literal["paper", "torch", "kaiming", "xavier", "dirac"]
Scheme = Literal["torch", "kaiming", "xavier", "dirac"]  # "paper" is one of these


def initialise(net: nn.Module, scheme: Scheme) -> None:
    """Draw new weights for all trained convolutions and linear layers of `net`. Norms stay as they are.

    torch: as the layers were made, uniform within 1 / sqrt(fan in) for weights and biases. kaiming: normal with
    variance 2 / fan out for convolutions (He et al. 2015, eq. 14) and 2 / fan in for linear layers. xavier: normal with
    variance 2 / (fan in + fan out) (Glorot & Bengio 2010). Both set biases to 0. dirac: as torch, but the first
    filters of a convolution, as many as its input channels, pass one of these on unchanged (Jordan 2024, section 3.3).

    As in torch, torchvision and the ResNets of timm, a convolution's fan out is k * k * c_out, not divided by its
    groups. kaiming with g groups has therefore 1 / g of the paper's variance.
    """
    for layer in net.modules():
        # An empty weight has nothing to draw, and xavier would divide by zero.
        if isinstance(layer, nn.Conv2d | nn.Linear) and layer.weight.requires_grad and layer.weight.numel():
            _draw(layer, scheme)


def _draw(layer: nn.Conv2d | nn.Linear, scheme: Scheme) -> None:
    match scheme:
        case "torch":
            return
        case "dirac":
            if isinstance(layer, nn.Conv2d):
                for filters in layer.weight.detach().chunk(layer.groups):
                    nn.init.dirac_(filters[: filters.shape[1]])
            return
        case "kaiming":
            nn.init.kaiming_normal_(layer.weight, mode="fan_out" if isinstance(layer, nn.Conv2d) else "fan_in")
        case "xavier":
            nn.init.xavier_normal_(layer.weight)
        case _:
            assert_never(scheme)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
