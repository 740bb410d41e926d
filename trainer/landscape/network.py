"""The trained network of a run, and the images over which its loss is taken."""

import contextlib
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from trainer.config import RunConfig
from trainer.data.batches import Normalize
from trainer.data.images import Split
from trainer.seeds import generator
from trainer.training.device import Compute, deterministic_kernels
from trainer.training.trained import load_trained

Of = Literal["train", "test"]


@dataclass(frozen=True)
class MeasuredNetwork:
    """A network in evaluation mode, in float32, and N images of a split without augmentation."""

    run: Path
    config: RunConfig
    model: nn.Module
    epoch: float  # of the weights
    split: Split  # [N], on the device
    normalize: Normalize
    loss_fn: nn.Module  # the run's own, without penalties: logits [N, K], targets [N] -> losses [N]
    compute: Compute
    seed: int  # draws the images, directions and vectors
    settings: Mapping[str, Any]  # which network and images, as written to the result

    def parameters(self) -> list[nn.Parameter]:
        """Return the trained parameters: the space of a surface or a Hessian."""
        return [parameter for parameter in self.model.parameters() if parameter.requires_grad]


def load_network(
    run: Path, *, of: Of, images: int, seed: int, data_root: Path | None = None, device: str | None = None
) -> MeasuredNetwork:
    """Return the final network of a run folder, with `images` images of its split `of`, drawn by `seed`.

    A smaller split is taken whole. Raises UserError.
    """
    changes = {"data.root": str(data_root) if data_root else None, "train.device": device, "train.precision": "float32"}
    trained = load_trained(run, {key: value for key, value in changes.items() if value is not None})
    whole = trained.image_set.train if of == "train" else trained.image_set.test
    picked = torch.randperm(len(whole), generator=generator(seed, "images measured"))[:images]
    settings = {
        "model": trained.config.model.name,
        "data": trained.config.data.name,
        "loss": trained.config.loss.name,
        "split": of,
        "images": len(picked),
        "seed": seed,
    }
    return MeasuredNetwork(
        run=run,
        config=trained.config,
        epoch=trained.epoch,
        model=trained.model,
        split=whole.select(picked).to(trained.compute.device),
        normalize=trained.normalize,
        loss_fn=trained.loss_fn,
        compute=trained.compute,
        seed=seed,
        settings=settings,
    )


def weights_digest(model: nn.Module) -> str:
    """Return eight hex digits that identify a network's weights and buffers."""
    total = hashlib.sha256()
    for value in model.state_dict().values():
        total.update(value.detach().cpu().contiguous().numpy().tobytes())
    return total.hexdigest()[:8]


@contextlib.contextmanager
def full_precision(network: MeasuredNetwork) -> Iterator[None]:
    """Keep convolutions on CUDA from rounding to TF32, and use deterministic kernels if the run did."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        with deterministic_kernels(network.config.train.deterministic):
            yield
    finally:
        torch.backends.cudnn.allow_tf32 = before
