"""`data`: the images. A whole set is kept on the training device as uint8."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, Tag, field_validator, model_validator

from trainer.config.base import ChangesNoNumber, Section, Younger
from trainer.config.own import OwnPart, own_or

NEW_TEST, CORRUPTED = "cifar10.1", "cifar10-c"
_OTHER_CLASSES = ("cifar100", "svhn", "mnist", "fashion_mnist", "shapes10")


def second_test_name(also: str) -> str:
    """Return the name of a second test set in keys: that of a file is its own, without folders."""
    return also if also in (NEW_TEST, CORRUPTED) else Path(also).stem


class Parts(Section):
    """The keys that are the same for every set, and stay when `data.name` changes."""

    val_fraction: float = Field(default=0.0, ge=0, lt=1)
    """Share of the training set held out for validation, stratified by class and seeded. Plateau, early stopping and
    best checkpoint use it, or the training loss if it is 0."""
    train_size: PositiveInt | None = None
    """Use only this many training images, stratified by class and seeded. null uses all."""
    also_test: Annotated[tuple[str, ...], ChangesNoNumber(), Younger()] = ()
    """Second test sets, which are measured at the end of a run and never chosen on: cifar10.1, cifar10-c, or files
    `PATH.npz` with `x` and `y`, or `x_test` and `y_test`."""
    also_root: Annotated[Path | None, ChangesNoNumber(), Younger()] = None
    """Folder that contains `cifar10.1_v6_data.npy` and `cifar10.1_v6_labels.npy`, or the folder `CIFAR-10-C`. null is
    `data.root`, or `data`."""

    @field_validator("also_test")
    @classmethod
    def _known_and_told_apart(cls, also: tuple[str, ...]) -> tuple[str, ...]:
        for each in also:
            if each not in (NEW_TEST, CORRUPTED) and Path(each).suffix != ".npz":
                raise ValueError(f"{each!r} is no second test set; {NEW_TEST}, {CORRUPTED} or a path FILE.npz")
        if repeated := next((each for each in also if also.count(each) > 1), None):
            raise ValueError(f"{repeated!r} is in the list twice")
        names = [second_test_name(each) for each in also]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"two sets are called {twice!r}; rename a file")
        return also


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

    @model_validator(mode="after")
    def _second_tests_have_its_classes(self) -> Self:
        foreign = [each for each in self.also_test if each in (NEW_TEST, CORRUPTED)]
        if foreign and (name := getattr(self, "name", None)) in _OTHER_CLASSES:
            raise ValueError(f"also_test=[{foreign[0]}] has the classes of CIFAR-10, and name={name} has others")
        return self


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
    image_size: int = Field(default=32, ge=1, le=2**14)
    """Images are resized to image_size x image_size pixels, once, when they are read."""


class Folder(_AnySize):
    name: Literal["folder"] = "folder"
    root: Annotated[Path, ChangesNoNumber()]
    """Folder that contains `train/CLASS/*` and `test/CLASS/*` (or `val/CLASS/*`), in any image format, or Tiny ImageNet
    as it is distributed, whose `val` is then the test set. Tables and archives know the images by the last part of
    this path."""


class Npz(_AnySize):
    """Arrays of NumPy. Images are uint8 [N, H, W], [N, H, W, C] or [N, C, H, W] with C = 1 or 3, labels [N]."""

    name: Literal["npz"] = "npz"
    root: Annotated[Path, ChangesNoNumber()]
    """A file with `x_train`, `y_train`, `x_test` and `y_test`, as Keras writes it (or MedMNIST's names), or a folder
    that contains `train.npz` and `test.npz` with `x` and `y` each. `class_names` may name the classes. Tables and
    archives know the images by the last part of this path."""


SplitName = Annotated[str, Field(pattern=r"^\w+([.-]\w+)*$")]
"""The name of a split is a part of file names."""


class HuggingFace(_AnySize):
    """A folder of Hugging Face `datasets`, saved by `save_to_disk` or copied from the Hub (Parquet)."""

    name: Literal["huggingface"] = "huggingface"
    root: Annotated[Path, ChangesNoNumber()]
    """Folder that contains `train/state.json`, or `train-*.parquet` in it or in a folder of it. Tables and archives
    know the images by the last part of this path."""
    train_split: SplitName = "train"
    """Name of the split to train on."""
    test_split: SplitName = "test"
    """Name of the split to test on. The Hub often calls it `validation` or `valid`."""
    image: str | None = None
    """Column of the images. null takes the only one that has images."""
    label: str | None = None
    """Column of the classes. null takes the only one that has classes."""

    @model_validator(mode="after")
    def _tested_on_other_images(self) -> Self:
        if self.train_split == self.test_split:
            raise ValueError(f"train_split and test_split are both {self.test_split!r}; test on other images")
        return self


class OwnData(_AnySet, OwnPart):
    """Images of yours: a function that returns them."""


_Closed = Annotated[
    Cifar10 | Cifar100 | Svhn | Mnist | FashionMnist | Shapes10 | Folder | Npz | HuggingFace,
    Field(discriminator="name"),
]
Data = Annotated[Annotated[_Closed, Tag("closed")] | Annotated[OwnData, Tag("own")], own_or("data", _Closed)]
