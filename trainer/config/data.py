"""`data`: which images. All of a set lies on the training device as uint8."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from trainer.config.base import ChangesNoNumber, Section


class _AnySet(Section):
    val_fraction: float = Field(default=0.0, ge=0, lt=1)
    """Share of the training set held out, stratified by class and seeded. What decides during training
    (plateau, early stopping, best checkpoint) looks at it, or at the training loss where it is 0."""
    mean: tuple[float, ...] | None = None
    """Of each channel, as a fraction of white, for the normalisation; null: the set's own."""
    std: tuple[PositiveFloat, ...] | None = None
    """Standard deviation of each channel, likewise."""
    train_size: PositiveInt | None = None
    """Use only this many training images, stratified by class and seeded; null: all."""


class Cifar10(_AnySet):
    name: Literal["cifar10"] = "cifar10"
    root: Annotated[Path, ChangesNoNumber()] = Path("data")
    """Folder that holds `cifar-10-batches-py`; downloaded there when missing."""
    download: Annotated[bool, ChangesNoNumber()] = True
    """Bring missing files over the network; false: an error instead."""


class Cifar100(_AnySet):
    name: Literal["cifar100"] = "cifar100"
    root: Annotated[Path, ChangesNoNumber()] = Path("data")
    """Folder that holds `cifar-100-python`; downloaded there when missing."""
    download: Annotated[bool, ChangesNoNumber()] = True
    """Bring missing files over the network; false: an error instead."""


class Shapes10(_AnySet):
    name: Literal["shapes10"] = "shapes10"
    seed: NonNegativeInt = 0
    """Seed of the drawing itself, apart from the run's seed."""


class Folder(_AnySet):
    name: Literal["folder"] = "folder"
    root: Annotated[Path, ChangesNoNumber()]
    """Holds `train/CLASS/*` and `test/CLASS/*`, any image format."""
    image_size: PositiveInt = 32
    """Images are resized to image_size x image_size pixels."""


Data = Annotated[Cifar10 | Cifar100 | Shapes10 | Folder, Field(discriminator="name")]
