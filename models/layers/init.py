"""Initial weights by the name one types: `model.init=xavier`."""

from typing import Literal, assert_never

from torch import nn

Init = Literal["paper", "torch", "kaiming", "xavier"]
Scheme = Literal["torch", "kaiming", "xavier"]  # "paper" is one of these


def initialise(net: nn.Module, scheme: Scheme) -> None:
    """Draw the weights of all trained convolutions and linear layers of `net` anew; norms stay as they are.

    torch: as the layers were made, uniform within 1 / sqrt(fan in) for weights and biases. kaiming: normal with
    variance 2 / fan out for convolutions (He et al. 2015, eq. 14) and 2 / fan in for linear layers. xavier: normal with
    variance 2 / (fan in + fan out) (Glorot & Bengio 2010). Both set biases to 0.

    A convolution's fan out is torch's, as torchvision and timm have it too: k * k * c_out, not divided by its groups.
    One of g groups starts kaiming with a g-th of the paper's variance: 2 / (g * fan out).
    """
    for layer in net.modules():
        # Without numbers there is nothing to draw, and xavier would divide by no channels at all.
        if isinstance(layer, nn.Conv2d | nn.Linear) and layer.weight.requires_grad and layer.weight.numel():
            _draw(layer, scheme)


def _draw(layer: nn.Conv2d | nn.Linear, scheme: Scheme) -> None:
    match scheme:
        case "torch":
            return
        case "kaiming":
            nn.init.kaiming_normal_(layer.weight, mode="fan_out" if isinstance(layer, nn.Conv2d) else "fan_in")
        case "xavier":
            nn.init.xavier_normal_(layer.weight)
        case _:
            assert_never(scheme)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
