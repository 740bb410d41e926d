"""`augment`: changes to training images, whole batches at a time on the training device.

The order is that of torchvision's reference: crop and flip, auto, color_jitter, erasing, mix. `extra` and then
`intensity` come before mix.
"""

from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Tag,
    model_validator,
)

from trainer.config.base import Section, Younger
from trainer.config.own import NoExtra, OwnPart, own_or


def _rises(limits: tuple[float, float]) -> tuple[float, float]:
    if limits[0] > limits[1]:
        raise ValueError(f"the first must not exceed the second, got {list(limits)}")
    return limits


Share = Annotated[float, Field(ge=0, le=1)]


class Crop(Section):
    padding: int = Field(default=4, ge=0, le=2**14)
    """Pixels added on each side, before a crop of the original size at a random place. 0 turns cropping off."""
    mode: Literal["zero", "reflect"] = "zero"
    """Padding: zero is black before normalisation, as in torchvision's RandomCrop. reflect mirrors the edge."""


class Flip(Section):
    mode: Literal["none", "random", "alternating"] = "random"
    """random mirrors each image left to right with probability 1/2, drawn again in each epoch.
    alternating draws in the first epoch and flips every image in each later one (Jordan 2024, section 3.6)."""


class NoAuto(Section):
    name: Literal["none"] = "none"


class TrivialAugmentWide(Section):
    """One of torchvision's 14 operations per image, at one of 31 random strengths (Müller & Hutter 2021)."""

    name: Literal["trivial_augment_wide"] = "trivial_augment_wide"


class RandAugment(Section):
    """Several of torchvision's 14 operations per image, all at the same strength (Cubuk et al. 2020)."""

    name: Literal["rand_augment"] = "rand_augment"
    num_ops: PositiveInt = 2
    """Number of operations applied to each image."""
    magnitude: int = Field(default=9, ge=0, le=30)
    """Strength of the operations, from 0 (none) to 30 (strongest)."""


Auto = Annotated[NoAuto | TrivialAugmentWide | RandAugment, Field(discriminator="name")]


class ColorJitter(Section):
    """Random factors for each image, in an order drawn once per batch."""

    brightness: NonNegativeFloat = 0.0
    """The factor is uniform in [max(0, 1 - brightness), 1 + brightness]. 0 turns it off."""
    contrast: NonNegativeFloat = 0.0
    """Like brightness, around the image's mean grey."""
    saturation: NonNegativeFloat = 0.0
    """Like brightness, around each pixel's grey."""
    hue: float = Field(default=0.0, ge=0, le=0.5)
    """The shift is uniform in [-hue, hue] turns of the colour circle. 0 turns it off."""


class NoErasing(Section):
    name: Literal["none"] = "none"


class _AnyErasing(Section):
    probability: Share
    """Probability that an image is erased at all."""
    fill: Literal["mean", "zero"] = "mean"
    """mean is the data set's mean, which is 0 after normalisation, up to rounding. zero is black."""


class RandomErasing(_AnyErasing):
    """A rectangle of random area and shape (Zhong et al. 2020), as in torchvision."""

    name: Literal["random"] = "random"
    probability: Share = 0.5
    scale: Annotated[tuple[Share, Share], AfterValidator(_rises)] = (0.02, 0.33)
    """Smallest and largest area, as a share of the image."""
    ratio: Annotated[tuple[PositiveFloat, PositiveFloat], AfterValidator(_rises)] = (0.3, 3.3)
    """Smallest and largest ratio of height to width. Its logarithm is uniform."""


class Cutout(_AnyErasing):
    """A square centred anywhere in the image. Parts outside it are cut off (DeVries & Taylor 2017)."""

    name: Literal["cutout"] = "cutout"
    probability: Share = 1.0
    size: int = Field(default=16, ge=1, le=2**14)
    """Side of the square, in pixels."""


Erasing = Annotated[NoErasing | RandomErasing | Cutout, Field(discriminator="name")]


class OwnAugment(OwnPart):
    """A change of yours to each batch, after erasing and before mix."""


Extra = Annotated[
    Annotated[NoExtra, Tag("closed")] | Annotated[OwnAugment, Tag("own")], own_or("augment.extra", NoExtra)
]


class Intensity(Section):
    """A factor and a summand for each image, after normalisation, which cost less than color_jitter."""

    brightness: Annotated[NonNegativeFloat, Younger()] = 0.0
    """The summand is uniform in [-brightness, brightness], in standard deviations of the data set."""
    contrast: Annotated[Share, Younger()] = 0.0
    """The factor is uniform in [1 - contrast, 1 + contrast]."""


class Side(Section):
    """Training images that grow: the whole image, scaled down. Evaluations see it at its own size.

    `crop.padding` and the sizes of erasing stay in pixels. The network must take every side, as one with a global
    pooling does.
    """

    pixels: Annotated[tuple[Annotated[int, Field(ge=1, le=2**14)], ...], Younger()] = ()
    """Side of the images, in pixels, in the order of training. Empty keeps their own."""
    from_epochs: Annotated[tuple[NonNegativeInt, ...], Younger()] = ()
    """Epoch from which each side is used, counted from 0. The first one is 0."""

    @model_validator(mode="after")
    def _each_has_its_epochs(self) -> Self:
        if len(self.pixels) != len(self.from_epochs):
            raise ValueError(f"{len(self.pixels)} sides but {len(self.from_epochs)} epochs; give one epoch a side")
        if self.from_epochs[:1] not in ((), (0,)) or any(a >= b for a, b in pairwise(self.from_epochs)):
            raise ValueError(f"from_epochs must start at 0 and rise, got {list(self.from_epochs)}")
        return self


class NoMix(Section):
    name: Literal["none"] = "none"


class _AnyMix(Section):
    alpha: PositiveFloat = 1.0
    """The share that an image keeps is drawn from Beta(alpha, alpha), once per batch."""
    probability: Share = 1.0
    """Probability that a batch is mixed."""


class Mixup(_AnyMix):
    """Weighted mean of two images and of their classes (Zhang et al. 2018)."""

    name: Literal["mixup"] = "mixup"


class Cutmix(_AnyMix):
    """A rectangle pasted from another image, whose class gets the same share of the target (Yun et al. 2019)."""

    name: Literal["cutmix"] = "cutmix"


Mix = Annotated[NoMix | Mixup | Cutmix, Field(discriminator="name")]


class Augment(Section):
    crop: Crop = Field(default_factory=Crop)
    flip: Flip = Field(default_factory=Flip)
    auto: Auto = Field(default_factory=NoAuto)
    color_jitter: ColorJitter = Field(default_factory=ColorJitter)
    erasing: Erasing = Field(default_factory=NoErasing)
    extra: Extra = Field(default_factory=NoExtra)
    intensity: Intensity = Field(default_factory=Intensity)
    mix: Mix = Field(default_factory=NoMix)
    side: Side = Field(default_factory=Side)
