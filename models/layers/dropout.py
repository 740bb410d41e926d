"""Dropout with a checked rate."""

from torch import nn


def dropout_layer(rate: float) -> nn.Dropout:
    """Return torch's dropout (Srivastava et al. 2014). Raises ValueError for a rate outside [0, 1)."""
    check_rate(rate)
    return nn.Dropout(rate)


def check_rate(rate: float, key: str = "dropout") -> None:
    """Raise ValueError for a rate outside [0, 1)."""
    if not 0 <= rate < 1:
        raise ValueError(f"{key}={rate}: should be at least 0 and less than 1")
