"""Activations by the name that you type: `model.act=gelu`."""

from typing import Literal

from torch import nn

Act = Literal[
    "relu", "leaky_relu", "elu", "selu", "celu", "gelu", "silu", "swish", "mish", "rrelu", "prelu", "hardswish",
    "softplus", "tanh", "sigmoid",
]  # fmt: skip

_ACTIVATIONS: dict[Act, type[nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "selu": nn.SELU,
    "celu": nn.CELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "swish": nn.SiLU,  # Ramachandran et al. 2017 with beta = 1, the name in the reports
    "mish": nn.Mish,
    "rrelu": nn.RReLU,
    "prelu": nn.PReLU,  # one slope a layer, learned
    "hardswish": nn.Hardswish,
    "softplus": nn.Softplus,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}


def activation(name: Act) -> nn.Module:
    """Return a new activation with torch's constants. None works in place: a pre-activation's input is needed again."""
    return _ACTIVATIONS[name]()
