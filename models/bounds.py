"""Bounds of a network's arguments, for the annotations of its builder: `width: Width = 64`."""

from dataclasses import dataclass
from typing import Annotated


@dataclass(frozen=True)
class Bounds:
    """The values of a number with which the network can be built, whatever its other arguments are.

    A number without Bounds, and a list, is tried: the network is built with it before a run starts. So is one within
    its bounds if these do not decide alone.
    """

    ge: float | None = None
    gt: float | None = None
    lt: float | None = None
    le: float | None = None
    tried: bool = False


AnyNumber = Annotated[float, Bounds()]
AboveZero = Annotated[float, Bounds(gt=0)]
Width = Annotated[int, Bounds(ge=1, le=2**16)]  # far more channels than memory has room for
KernelSize = Annotated[int, Bounds(ge=1, tried=True)]
Share = Annotated[float, Bounds(gt=0, le=1, tried=True)]
Rate = Annotated[float, Bounds(ge=0, lt=1)]
GhostSize = Annotated[int, Bounds(ge=0, le=2**31)]
