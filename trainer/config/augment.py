"""`augment`: what happens to training images, whole batches at a time on the training device."""

from typing import Literal

from pydantic import Field, NonNegativeInt

from trainer.config.base import Section


class Crop(Section):
    padding: NonNegativeInt = 4
    """Pixels added on each side before a crop of the original size at a random place; 0: no crop."""
    mode: Literal["zero", "reflect"] = "zero"
    """zero pads with black, before normalisation, as torchvision's RandomCrop does."""


class Flip(Section):
    mode: Literal["none", "random"] = "random"
    """random: each image is mirrored left to right with probability 1/2."""


class Augment(Section):
    crop: Crop = Field(default_factory=Crop)
    flip: Flip = Field(default_factory=Flip)
