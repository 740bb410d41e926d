"""`data`: the images. A whole set is kept on the training device as uint8."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, Tag, field_validator

from trainer.config.base import ChangesNoNumber, Section
from trainer.config.own import OwnPart, own_or


class Parts(Section):
    """The keys that are the same for every set, and stay when `data.name` changes."""

    val_fraction: float = Field(default=0.0, ge=0, lt=1)
    """Share of the training set held out for validation, stratified by class and seeded. Plateau, early stopping and
    best checkpoint use it, or the training loss if it is 0."""
    train_size: PositiveInt | None = None
    """Use only this many training images, stratified by class and seeded. null uses all."""


class _AnySet(Parts):
    mean: tuple[float, ...] | None = None
    """Mean of each channel for the normalisation, as a fraction of white. null takes the mean of the training set."""
    std: tuple[PositiveFloat, ...] | None = None
    """Standard deviation of each channel, in the same unit. null takes that of the training set."""

    @field_validator("mean", "std")
    @classmethod
    def _fractions_of_white(cls, values: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if values and max(values) > 1:
            meant = [float(f"{value / 255:.4g}") for value in values]
            cure = f"; write {meant}, which is {list(values)} of 255" if max(values) <= 255 else ""
            raise ValueError(f"{list(values)} is above 1, but these are fractions of white{cure}")
        return values


class Cifar10(_AnySet):
    name: Literal["cifar10"] = "cifar10"
    root: Annotated[Path, ChangesNoNumber()] = Path("data")
    """Folder that contains `cifar-10-batches-py`. It is downloaded to this folder if it is missing."""
    download: Annotated[bool, ChangesNoNumber()] = True
    """Download missing files. false reports an error instead."""


class Cifar100(_AnySet):
    name: Literal["cifar100"] = "cifar100"
    root: Annotated[Path, ChangesNoNumber()] = Path("data")
    """Folder that contains `cifar-100-python`. It is downloaded to this folder if it is missing."""
    download: Annotated[bool, ChangesNoNumber()] = True
    """Download missing files. false reports an error instead."""


class Shapes10(_AnySet):
    name: Literal["shapes10"] = "shapes10"
    seed: NonNegativeInt = 0
    """Seed of the images themselves. It is independent of the run's seed."""


class Svhn(_AnySet):
    name: Literal["svhn"] = "svhn"
    root: Annotated[Path, ChangesNoNumber()] = Path("data")
    """Folder that contains `train_32x32.mat` and `test_32x32.mat`. They are downloaded to it if they are missing."""
    download: Annotated[bool, ChangesNoNumber()] = True
    """Download missing files. false reports an error instead."""


class Mnist(_AnySet):
    """Grey digits of 28x28 pixels, as three equal channels with two black pixels on every side: 32x32."""

    name: Literal["mnist"] = "mnist"
    root: Annotated[Path, ChangesNoNumber()] = Path("data")
    """Folder that contains `MNIST/raw`. The files are downloaded to it if they are missing."""
    download: Annotated[bool, ChangesNoNumber()] = True
    """Download missing files. false reports an error instead."""


class FashionMnist(_AnySet):
    """Grey clothes of 28x28 pixels, as three equal channels with two black pixels on every side: 32x32."""

    name: Literal["fashion_mnist"] = "fashion_mnist"
    root: Annotated[Path, ChangesNoNumber()] = Path("data")
    """Folder that contains `FashionMNIST/raw`. The files are downloaded to it if they are missing."""
    download: Annotated[bool, ChangesNoNumber()] = True
    """Download missing files. false reports an error instead."""


class _AnySize(_AnySet):
    image_size: PositiveInt = 32
    """Images are resized to image_size x image_size pixels, once, when they are read."""


class Folder(_AnySize):
    name: Literal["folder"] = "folder"
    root: Annotated[Path, ChangesNoNumber()]
    """Folder that contains `train/CLASS/*` and `test/CLASS/*` (or `val/CLASS/*`), in any image format, or Tiny ImageNet
    as it is distributed, whose `val` is then the test set."""


class Npz(_AnySize):
    """Arrays of NumPy. Images are uint8 [N, H, W], [N, H, W, C] or [N, C, H, W] with C = 1 or 3, labels [N]."""

    name: Literal["npz"] = "npz"
    root: Annotated[Path, ChangesNoNumber()]
    """A file with `x_train`, `y_train`, `x_test` and `y_test`, as Keras writes it (or MedMNIST's names), or a folder
    that contains `train.npz` and `test.npz` with `x` and `y` each. `class_names` may name the classes."""


class HuggingFace(_AnySize):
    """A folder of Hugging Face `datasets`, saved by `save_to_disk` or copied from the Hub (Parquet)."""

    name: Literal["huggingface"] = "huggingface"
    root: Annotated[Path, ChangesNoNumber()]
    """Folder that contains `train/state.json`, or `train-*.parquet` in it or in a folder of it."""
    train_split: str = "train"
    """Name of the split to train on."""
    test_split: str = "test"
    """Name of the split to test on. The Hub often calls it `validation` or `valid`."""
    image: str | None = None
    """Column of the images. null takes the only one that has images."""
    label: str | None = None
    """Column of the classes. null takes the only one that has classes."""


class OwnData(_AnySet, OwnPart):
    """Images of yours: a function that returns them."""


_Closed = Annotated[
    Cifar10 | Cifar100 | Svhn | Mnist | FashionMnist | Shapes10 | Folder | Npz | HuggingFace,
    Field(discriminator="name"),
]
Data = Annotated[Annotated[_Closed, Tag("closed")] | Annotated[OwnData, Tag("own")], own_or("data", _Closed)]
