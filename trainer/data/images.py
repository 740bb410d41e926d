"""What every data source returns: all pictures of a set in two or three uint8 tensors."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Split:
    """N pictures and their classes."""

    images: Tensor  # [N, C, H, W] uint8
    labels: Tensor  # [N] int64 in [0, K)

    def __len__(self) -> int:
        return len(self.labels)

    def select(self, index: Tensor) -> "Split":
        """The pictures at `index` [M], in that order."""
        return Split(self.images[index], self.labels[index])

    def to(self, device: object) -> "Split":
        return Split(self.images.to(device), self.labels.to(device))  # type: ignore[arg-type]


@dataclass(frozen=True)
class ImageSet:
    """A data set, read whole. `mean` and `std` are the set's own, per channel, as fractions of white."""

    name: str
    class_names: tuple[str, ...]  # K names, in the order of the labels
    mean: tuple[float, ...]  # [C]
    std: tuple[float, ...]  # [C]
    train: Split
    test: Split
    val: Split | None = None  # held out of the training set; None where data.val_fraction is 0
