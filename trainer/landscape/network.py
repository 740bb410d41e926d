"""The trained network of a run, and the images over which its loss is taken."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from trainer.data.images import Split
from trainer.runs.folder import named
from trainer.seeds import generator
from trainer.training.trained import TrainedNetwork, load_trained


@dataclass(frozen=True)
class MeasuredNetwork(TrainedNetwork):
    """A trained network in float32, and N images of a split without augmentation."""

    run: Path
    split: Split  # [N], on the device
    seed: int  # draws the images, directions and vectors
    settings: Mapping[str, Any]  # which network and images, as written to the result

    def parameters(self) -> list[nn.Parameter]:
        """Return the trained parameters: the space of a surface or a Hessian."""
        return [parameter for parameter in self.model.parameters() if parameter.requires_grad]


def load_network(
    run: Path,
    changes: Mapping[str, object] | None = None,
    *,
    split: Literal["train", "test"],
    images: int,
    seed: int,
) -> MeasuredNetwork:
    """Return the final network of a run folder, with `images` images of a split, drawn by `seed`.

    A smaller split is taken whole. `changes` are as in `load_trained`. Raises UserError.
    """
    trained = load_trained(run, {**(changes or {}), "train.precision": "float32"})
    whole = trained.image_set.train if split == "train" else trained.image_set.test
    picked = torch.randperm(len(whole), generator=generator(seed, "images measured"))[:images]
    drawn = whole.select(picked)
    settings = {
        "model": trained.config.model.name,
        "data": trained.config.data.name,
        "loss": trained.config.loss.name,
        "split": split,
        "images": len(picked),
        "seed": seed,
        "drawn": _digest([drawn.images, drawn.labels]),
    }
    on_device = drawn.to(trained.compute.device)
    return MeasuredNetwork(**vars(trained), run=named(run), split=on_device, seed=seed, settings=settings)


def weights_digest(model: nn.Module) -> str:
    """Return eight hex digits that identify a network's weights and buffers."""
    return _digest(model.state_dict().values())


def _digest(tensors: Iterable[Tensor]) -> str:
    total = hashlib.sha256()
    for value in tensors:
        total.update(value.detach().cpu().contiguous().numpy().tobytes())
    return total.hexdigest()[:8]
