"""What a data set is, or the one line that it is refused with."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from trainer.config.data import Data
from trainer.data.images import ImageSet
from trainer.data.sources import load_image_set
from trainer.errors import UserError


def levels(*shape: int, seed: int = 0) -> NDArray[np.uint8]:
    """Return random pixels."""
    return np.random.default_rng(seed).integers(256, size=shape, dtype=np.uint8)


def load(data: Data) -> ImageSet:
    return load_image_set(data, seed=0)


def refusal(data: Data, read: Callable[[Data], Any] = load) -> str:
    """Return the one line that a data set is refused with."""
    with pytest.raises(UserError) as caught:
        read(data)
    (line,) = caught.value.problems
    return line
