"""A trained network, and what is needed to inspect it: its test set, its device, its layers."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from trainer.config.explain import did_you_mean
from trainer.data.drawn import one_line
from trainer.errors import ConfigError
from trainer.inspect.layers import output_shapes
from trainer.inspect.predictions import Predictions, predict_test
from trainer.runs.kept import run_of, suffix_of
from trainer.training.trained import TrainedNetwork, load_trained


@dataclass(frozen=True)
class InspectedNetwork(TrainedNetwork):
    """A trained network. One training image is left of its image set."""

    path: Path  # a run folder, or a checkpoint in one

    @property
    def folder(self) -> Path:
        return run_of(self.path)

    @property
    def run(self) -> str:
        """Return the run's name, and which of its weights these are if not those of its end: `first-best`."""
        return self.folder.resolve().name + suffix_of(self.path)

    @property
    def place(self) -> Path:
        """Return the folder of its pictures in that of the run: `inspect`, or of other weights `inspect-best`."""
        return self.folder / f"inspect{suffix_of(self.path)}"

    @property
    def name(self) -> str:
        return self.config.model.name

    @property
    def classes(self) -> tuple[str, ...]:
        return self.image_set.class_names

    def shown(self, label: int) -> str:
        """Return the name of a class as pictures have it: in one line."""
        return one_line(self.classes[label])

    @cached_property
    def predictions(self) -> Predictions:
        return predict_test(self)

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the layers' outputs, as `layers.output_shapes` returns them."""
        return output_shapes(self.model, self.images(torch.tensor([0])))

    def images(self, index: Tensor) -> Tensor:
        """Return [M, C, H, W] float32: test images at `index` [M], normalised, on the device."""
        return self.normalize(self.image_set.test.images[index].to(self.compute.device), self.compute.memory_format)

    def find_picture(self, asked: str | None) -> int:
        """Return the index in the test set of what the user asks for: a number, or a class for its first image.

        A whole number is always that of an image. A class may be given as `class:NAME`, which one that is called by a
        number needs. None is the first cat, or image 0 of a test set without cats. Raises ConfigError.
        """
        labels, names = self.image_set.test.labels, self.classes
        if asked is None:
            cats = self._of_class("cat")
            return cats[0] if cats else 0
        if asked.removeprefix("-").isdecimal():
            if 0 <= int(asked) < len(labels):
                return int(asked)
            cure = f"; its class {asked} is class:{asked}" if asked in names else ""
            raise ConfigError(
                f"--picture: {asked}: the test set has {len(labels)} pictures, 0 to {len(labels) - 1}{cure}"
            )
        name = asked if asked in names else asked.removeprefix("class:")
        if name not in names:
            raise ConfigError(f"--picture: no class is called {name!r}{did_you_mean(name, names)}")
        if not (found := self._of_class(name)):
            raise ConfigError(f"--picture: no test image is of class {name!r}")
        return found[0]

    def _of_class(self, name: str) -> list[int]:
        """Return the indices of the test images of a class, none if there is no such class."""
        if name not in self.classes:
            return []
        return (self.image_set.test.labels == self.classes.index(name)).nonzero().flatten().tolist()


def load_network(path: Path, changes: dict[str, object]) -> InspectedNetwork:
    """Load the network of a run folder or checkpoint file. Raises UserError.

    `changes` are dotted config keys to use instead of the run's, such as `data.root`.
    """
    trained = load_trained(path, changes)
    one = trained.image_set.train.select(torch.tensor([0]))  # only its shape is needed, and the others take memory
    image_set = replace(trained.image_set, train=one, val=None)
    return InspectedNetwork(**vars(replace(trained, image_set=image_set)), path=path)
