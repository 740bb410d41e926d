"""A trained network to be exported: in float32 on the CPU, beside its logits of test images.

N images, C channels, H = W pixels, K classes.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path, PurePath
from typing import Any, cast

import torch
from torch import Tensor

import models
from trainer.config.load import as_stored
from trainer.config.overrides import flatten
from trainer.config.own import is_own
from trainer.errors import ExportError
from trainer.own import parts as own
from trainer.own.load import load
from trainer.own.source import Source
from trainer.runs.checkpoint import load_checkpoint
from trainer.runs.folder import read_summary
from trainer.runs.kept import run_of
from trainer.runs.private import public_config
from trainer.training.evaluate import predict
from trainer.training.networks import one_line_for_wrong_images
from trainer.training.stored import knows_normalisation
from trainer.training.trained import TrainedNetwork, load_trained

TOLERANCE = 1e-4
"""Largest difference of a logit that an export may have, in shares of the largest logit if that is above 1."""
_PATHS = ("data.root", "data.also_root", "data.also_test")
_AS_EXPORTED = {"train.device": "cpu", "train.precision": "float32", "train.channels_last": False}
_AT_ONCE = 250  # images

Answer = Callable[[Tensor], Tensor]
"""An exported network as others call it: images [N, C, H, W] float32, 0 black and 1 white -> logits [N, K]."""


@dataclass(frozen=True)
class ExportedNetwork(TrainedNetwork):
    """A trained network, one view of each image, and the images on which exports are compared with it."""

    path: Path  # a run folder, or a checkpoint in one
    checked: int  # number of test images that are compared, from the first
    settings: Mapping[str, Any]  # the run's own config, flat, as anyone may read it

    @property
    def folder(self) -> Path:
        return run_of(self.path)

    @property
    def name(self) -> str:
        return self.folder.resolve().name

    @property
    def own(self) -> Source | None:
        """Return the text of the user's own network, or None for one of `models` or timm."""
        model = self.config.model
        return own.source_of("model", model) if is_own("model", model.name) else None

    @property
    def module(self) -> str:
        """Return the module that an own network is imported from: the installed one, or the copy of its file.

        A file that was loaded by its path may have a name that `import` does not take, such as `my-nets.py`.
        """
        assert self.own is not None
        name = re.sub(r"\W", "_", self.own.kept_as.removesuffix(".py"))
        return self.own.module or (name if name.isidentifier() else f"_{name}")

    @property
    def title(self) -> str:
        """Return the network's name, without the folders of a file of the user's."""
        return self.config.model.name.rpartition("/")[2] if self.own else self.config.model.name

    @property
    def input_size(self) -> tuple[int, int, int]:
        """Return (C, H, W)."""
        return self.image_set.in_channels, self.image_set.image_size, self.image_set.image_size

    @property
    def arguments(self) -> dict[str, Any]:
        """Return the arguments of the network's builder, or of `build_model`, that the config has."""
        model = self.config.model
        arguments = {key: value for key, value in model.arguments.items() if key != "code"}
        if model.norm_momentum is not None and not self.own:
            arguments["norm_momentum"] = model.norm_momentum
        return arguments

    @property
    def built_with(self) -> dict[str, Any]:
        """Return the arguments with which an own network is built, those that the data sets among them."""
        assert self.own is not None
        takes = own.signature_of(self.own, load(self.own)).defaults
        of_data = {key: getattr(self.image_set, key) for key in models.SET_BY_DATA}
        return self.arguments | {key: value for key, value in of_data.items() if key in takes}

    @property
    def images(self) -> Tensor:
        return self.image_set.test.images[: self.checked]

    @cached_property
    def logits(self) -> Tensor:
        """Return the trainer's own logits [N, K] of `images`."""
        with one_line_for_wrong_images(self.config.model.name, self.images[:1]):
            return predict(self.model, self.images, self.normalize, self.compute, batch_size=_AT_ONCE)[0]

    @property
    def accuracy(self) -> float:
        """Return the share of `images` that the network gets right: in float32, by one view."""
        return (self.logits.argmax(1) == self.image_set.test.labels[: self.checked]).double().mean().item()

    @cached_property
    def summary(self) -> dict[str, Any]:
        """Return what the run noted of its last weights, empty for another checkpoint of it."""
        return read_summary(self.path) if self.path.is_dir() else {}

    def weights(self) -> dict[str, Tensor]:
        """Return the state dict, each tensor contiguous in memory of its own, as safetensors wants it.

        Raises ExportError for state that is no tensor.
        """
        state = self.model.state_dict()
        if strange := [key for key, value in state.items() if not isinstance(value, Tensor)]:
            raise ExportError(f"{self.config.model.name}: its state {strange[0]!r} is no tensor, which no format keeps")
        return {key: value.detach().clone(memory_format=torch.contiguous_format) for key, value in state.items()}

    def description(self) -> dict[str, Any]:
        """Return plain values: what builds the network, what its images are, what it reached."""
        return {
            "network": self.title,
            "arguments": self.arguments,
            **{key: getattr(self.image_set, key) for key in models.SET_BY_DATA},
            "mean": list(self.image_set.mean),
            "std": list(self.image_set.std),
            "class_names": list(self.image_set.class_names),
            "epoch": self.epoch,
            "test_accuracy": self.accuracy,
            "test_images": self.checked,
            "config": dict(self.settings),
        }

    def difference(self, answer: Answer) -> float:
        """Return the largest difference between a logit of `answer` and ours, over all of `images`.

        The first image is asked alone, since a batch of one is where a fixed number of images shows. Raises ExportError
        above TOLERANCE, and for logits that are not finite.
        """
        parts = [self.images[:1], *self.images[1:].split(_AT_ONCE)] if self.checked > 1 else [self.images]
        with torch.inference_mode():
            theirs = torch.cat([answer(part.float() / 255) for part in parts])
        largest = (theirs - self.logits).abs().max().item() if theirs.shape == self.logits.shape else float("nan")
        largest_logit = self.logits.abs().max().item()
        if not largest <= TOLERANCE * max(1.0, largest_logit):  # NaN is not, either
            said = (
                f"differ by up to {largest:.2g}, where the largest is {largest_logit:.2g},"
                if math.isfinite(largest)
                else "are not finite, or not as many,"
            )
            raise ExportError(f"{self.config.model.name}: logits of the export {said} so it was not kept")
        return largest


def load_network(path: Path, changes: Mapping[str, object], *, check: int | None = None) -> ExportedNetwork:
    """Load the network of a run folder or checkpoint file, to compare `check` test images, or all. Raises UserError.

    `changes` are dotted config keys to use instead of the run's, such as `data.root`.
    """
    state = load_checkpoint(path / "checkpoint.pt" if path.is_dir() else path)
    trained = load_trained(path, {**changes, **_AS_EXPORTED})
    if not knows_normalisation(state) and state.get("data") not in (None, trained.image_set.fingerprint()):
        raise ExportError(
            f"{path}: an older checkpoint, which has not kept the mean and std of its images; export it with those"
        )
    one = trained.image_set.train.select(torch.tensor([0]))  # only its shape is needed, and the others take memory
    trained = replace(trained, image_set=replace(trained.image_set, train=one, val=None))
    images = len(trained.image_set.test)
    settings = public_config(flatten(as_stored(state["config"])))
    public = {key: _without_folders(key, value) for key, value in settings.items()}
    return ExportedNetwork(**vars(trained), path=path, checked=min(check or images, images), settings=public)


def _without_folders(key: str, value: Any) -> Any:
    """Return the last part of a path: of data, or of a file of the user's. `timm/NAME` is none."""
    if isinstance(value, list | tuple):
        return [_without_folders(key, each) for each in cast("list[Any]", value)]
    if not isinstance(value, str):
        return value
    is_path = key in _PATHS or value.startswith(("/", "~", ".")) or ".py" in value
    return PurePath(value).name if is_path else value
