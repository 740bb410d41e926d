"""A trained network, back from its run folder or checkpoint."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from trainer.config import RunConfig
from trainer.config.load import validate
from trainer.config.overrides import lay_over, nest
from trainer.data.batches import Normalize
from trainer.data.images import ImageSet
from trainer.data.sources import load_image_set
from trainer.errors import CheckpointError
from trainer.runs.checkpoint import load_checkpoint
from trainer.training.device import choose_compute
from trainer.training.evaluate import evaluate
from trainer.training.losses import build_loss
from trainer.training.networks import build_network


def evaluate_trained(path: Path, changes: Mapping[str, object] | None = None) -> dict[str, float]:
    """Return `test/loss`, `test/accuracy` (and `test/accuracy_plain`) of a run folder or checkpoint file.

    `changes` are dotted config keys to use instead of the run's, such as `train.tta`. Raises UserError.
    """
    config, model, image_set = load_trained(path, dict(changes or {}))
    compute = choose_compute(config.train)
    found = evaluate(
        compute.place(model),
        image_set.test.to(compute.device),
        Normalize(image_set.mean, image_set.std, compute.device),
        build_loss(config.loss, image_set.num_classes).to(compute.device),
        compute,
        tta=config.train.tta,
        batch_size=config.train.eval_batch_size,
    )
    return {f"test/{key}": value for key, value in found.items()}


def load_trained(path: Path, changes: dict[str, object]) -> tuple[RunConfig, nn.Module, ImageSet]:
    """(config, the network that was evaluated in training, its data). `path` is a run folder or a checkpoint file;
    `changes` are dotted config keys to use instead of the run's, such as `data.root`."""
    state = load_checkpoint(_file(path))
    config = validate(lay_over(state["config"], nest(changes)))
    image_set = load_image_set(config.data, seed=config.seed)
    model = build_network(config.model, image_set)
    _take_weights(model, state, path)
    return config, model.eval(), image_set


def load_weights(model: nn.Module, path: Path) -> float:
    """Put the evaluated weights of a run folder or checkpoint file into its network: of which epoch they are."""
    state = load_checkpoint(_file(path))
    _take_weights(model, state, path)
    return state["epoch"] if "epoch" in state else state["counters"]["epoch"]  # a checkpoint of before 2026-11-21


def kept_epochs(run: Path) -> dict[float, Path]:
    """The epochs of which a run keeps the weights (`probe.path.every_epochs`), in order, and where. May be empty."""
    files = {float(path.stem): path for path in (run / "path").glob("*.pt")}
    return dict(sorted(files.items()))


def _file(path: Path) -> Path:
    return path / "checkpoint.pt" if path.is_dir() else path


def _take_weights(model: nn.Module, state: dict[str, Any], path: Path) -> None:
    try:
        model.load_state_dict(state["evaluated"])
    except RuntimeError as error:
        config = validate(state["config"])
        raise CheckpointError(f"{path}: its weights do not fit {config.model.name} on {config.data.name}") from error
