"""`augment`: what happens to training images, whole batches at a time on the training device.

In torchvision's reference order: crop and flip, auto, color_jitter, erasing, mix.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from trainer.config.base import Section


def _rises(limits: tuple[float, float]) -> tuple[float, float]:
    if limits[0] > limits[1]:
        raise ValueError(f"must rise from the least to the most, got {list(limits)}")
    return limits


Share = Annotated[float, Field(ge=0, le=1)]


class Crop(Section):
    padding: NonNegativeInt = 4
    """Pixels added on each side before a crop of the original size at a random place; 0: no crop."""
    mode: Literal["zero", "reflect"] = "zero"
    """zero pads with black, before normalisation, as torchvision's RandomCrop does."""


class Flip(Section):
    mode: Literal["none", "random", "alternating"] = "random"
    """random: each image is mirrored left to right with probability 1/2, anew in each epoch.
    alternating: drawn so in the first epoch, and turned over in each one after it (Jordan 2024, section 3.6)."""


class NoAuto(Section):
    name: Literal["none"] = "none"


class TrivialAugmentWide(Section):
    """One operation an image, at a strength drawn from 31 (Müller & Hutter 2021); torchvision's space of 14."""

    name: Literal["trivial_augment_wide"] = "trivial_augment_wide"


class RandAugment(Section):
    """Operations one after the other, all at one strength (Cubuk et al. 2020); torchvision's space of 14."""

    name: Literal["rand_augment"] = "rand_augment"
    num_ops: PositiveInt = 2
    """Operations applied to each image."""
    magnitude: int = Field(default=9, ge=0, le=30)
    """Their strength, from 0, none, to 30, the strongest."""


Auto = Annotated[NoAuto | TrivialAugmentWide | RandAugment, Field(discriminator="name")]


class ColorJitter(Section):
    """Factors are drawn for each image, the order of the four once a batch."""

    brightness: NonNegativeFloat = 0.0
    """The factor is uniform in [max(0, 1 - brightness), 1 + brightness]; 0: off."""
    contrast: NonNegativeFloat = 0.0
    """As brightness; around the image's mean grey."""
    saturation: NonNegativeFloat = 0.0
    """As brightness; around each pixel's grey."""
    hue: float = Field(default=0.0, ge=0, le=0.5)
    """The shift is uniform in [-hue, hue] turns of the colour circle; 0: off."""


class NoErasing(Section):
    name: Literal["none"] = "none"


class _AnyErasing(Section):
    probability: Share
    """Of an image being erased at all."""
    fill: Literal["mean", "zero"] = "mean"
    """mean: the set's own, 0 after normalisation but for rounding to a level. zero: black."""


class RandomErasing(_AnyErasing):
    """A rectangle of random area and shape (Zhong et al. 2020), drawn as torchvision draws it."""

    name: Literal["random"] = "random"
    probability: Share = 0.5
    scale: Annotated[tuple[Share, Share], AfterValidator(_rises)] = (0.02, 0.33)
    """Least and largest area, as a share of the image's."""
    ratio: Annotated[tuple[PositiveFloat, PositiveFloat], AfterValidator(_rises)] = (0.3, 3.3)
    """Least and largest height over width; uniform in its logarithm."""


class Cutout(_AnyErasing):
    """A square whose centre lies anywhere in the image; what lies outside is cut off (DeVries & Taylor 2017)."""

    name: Literal["cutout"] = "cutout"
    probability: Share = 1.0
    size: PositiveInt = 16
    """Side of the square in pixels."""


Erasing = Annotated[NoErasing | RandomErasing | Cutout, Field(discriminator="name")]


class NoMix(Section):
    name: Literal["none"] = "none"


class _AnyMix(Section):
    alpha: PositiveFloat = 1.0
    """The share of an image itself is drawn from Beta(alpha, alpha), once a batch."""
    probability: Share = 1.0
    """Of a batch being mixed."""


class Mixup(_AnyMix):
    """Weighted means of two images and of their classes (Zhang et al. 2018)."""

    name: Literal["mixup"] = "mixup"


class Cutmix(_AnyMix):
    """A rectangle of another image, and its area's share of that image's class (Yun et al. 2019)."""

    name: Literal["cutmix"] = "cutmix"


Mix = Annotated[NoMix | Mixup | Cutmix, Field(discriminator="name")]


class Augment(Section):
    crop: Crop = Field(default_factory=Crop)
    flip: Flip = Field(default_factory=Flip)
    auto: Auto = Field(default_factory=NoAuto)
    color_jitter: ColorJitter = Field(default_factory=ColorJitter)
    erasing: Erasing = Field(default_factory=NoErasing)
    mix: Mix = Field(default_factory=NoMix)
