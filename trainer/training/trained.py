"""A trained network, loaded from its run folder or a checkpoint file."""

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from trainer.config import RunConfig
from trainer.config.load import as_stored, validate
from trainer.config.overrides import lay_over, nest
from trainer.data.batches import Normalize
from trainer.data.images import ImageSet, Split
from trainer.data.second_tests import second_tests
from trainer.data.sources import load_image_set
from trainer.errors import CheckpointError
from trainer.own.source import remember
from trainer.runs.checkpoint import load_checkpoint
from trainer.runs.folder import read_summary
from trainer.runs.kept import run_of, suffix_of
from trainer.training.device import Compute, choose_compute
from trainer.training.evaluate import Evaluation, evaluate, refuse_views
from trainer.training.losses import build_loss
from trainer.training.networks import build_network
from trainer.training.numerics import numerics
from trainer.training.second_tests import measure_second_tests
from trainer.training.stored import knows_normalisation, normalised_as_trained

_NUMBER = re.compile(r"\d+(\.\d+)?(e-?\d+)?", re.ASCII)  # as `name_of` writes an epoch
_SAID = {"running": "has not ended", "stopped": "was stopped", "interrupted": "was interrupted"}  # of a run's status


@dataclass(frozen=True)
class TrainedNetwork:
    """The network that training evaluated, and what is needed to evaluate it again."""

    config: RunConfig
    model: nn.Module  # on the device, in evaluation mode
    epoch: float  # of the weights
    image_set: ImageSet  # on the CPU
    compute: Compute
    normalize: Normalize
    loss_fn: nn.Module  # the run's own, without penalties: logits [N, K], targets [N] -> losses [N]
    unfinished: str  # "diverged: these are its weights of epoch 0 of 2", "" if the run has finished


def load_trained(path: Path, changes: Mapping[str, object] | None = None) -> TrainedNetwork:
    """Load the network of a run folder or checkpoint file, and its data. Raises UserError.

    `changes` are dotted config keys to use instead of the run's, such as `data.root`. A line on stderr says so if the
    images are others than those of the training. They have the mean and std of the training all the same. Another line
    says so if the run has not finished.
    """
    state = load_checkpoint(_file(path))
    for folder in (path, path.parent, path.parent.parent):  # of a run, its best.pt, or its path/EPOCH.pt
        remember(folder)
    config = validate(lay_over(as_stored(state["config"]), nest(changes or {})))
    image_set = load_image_set(config.data, seed=config.seed)
    refuse_views(config.train.tta, image_set)
    if "data" in state and state["data"] != image_set.fingerprint():
        said = f"{config.data.name}: these are not the images that {path} was trained with"
        risk = "; it has not kept their mean and std, so its numbers can be wrong"
        print(said if knows_normalisation(state) else said + risk, file=sys.stderr)
    image_set = normalised_as_trained(image_set, state)
    model = build_network(config.model, image_set)
    _load_evaluated(model, state, path)
    epoch = state.get("evaluated_epoch", state["epoch"])  # older ones do not say that they were restored
    unfinished = _unfinished(path, f"epoch {epoch:g} of {config.train.epochs:g}")
    if unfinished:
        print(f"{path}: this run {unfinished}", file=sys.stderr)
    compute = choose_compute(config.train)
    return TrainedNetwork(
        config=config,
        model=compute.place(model).eval(),
        epoch=epoch,
        image_set=image_set,
        compute=compute,
        normalize=Normalize(image_set.mean, image_set.std, compute.device),
        loss_fn=build_loss(config.loss, image_set.num_classes).to(compute.device),
        unfinished=unfinished,
    )


def evaluate_trained(path: Path, changes: Mapping[str, object] | None = None) -> dict[str, float]:
    """Return `test/loss`, `test/accuracy` (and `test/accuracy_plain`) of a run folder or checkpoint file.

    Those of the sets in `data.also_test` begin with `also/NAME/`. `changes` are as in `load_trained`. Raises UserError.
    """
    trained = load_trained(path, changes)
    also = second_tests(trained.config.data, trained.image_set)

    def measured(split: Split) -> Evaluation:
        return evaluate(
            trained.model,
            split.to(trained.compute.device),
            trained.normalize,
            trained.loss_fn,
            trained.compute,
            tta=trained.config.train.tta,
            tta_share=trained.config.train.tta_share,
            batch_size=trained.config.train.eval_batch_size,
        )

    with numerics(trained.config.train):
        return measured(trained.image_set.test).metrics("test/") | measure_second_tests(also, measured)


def load_weights(model: nn.Module, path: Path) -> None:
    """Load the evaluated weights of a run folder or checkpoint file into its network."""
    _load_evaluated(model, load_checkpoint(_file(path)), path)


def kept_epochs(run: Path) -> dict[float, Path]:
    """Return the checkpoint of each epoch whose weights a run kept (`probe.path.every_epochs`), in order, if any.

    Files that are not called by a number, such as `copy.pt`, are the user's own.
    """
    files = {_epoch_of(path): path for path in (run / "path").glob("*.pt") if _NUMBER.fullmatch(path.stem)}
    return dict(sorted(files.items()))


def _epoch_of(path: Path) -> float:
    named = float(path.stem)
    return named if named.is_integer() else load_checkpoint(path)["epoch"]  # names had six digits once


def _unfinished(path: Path, epoch: str) -> str:
    """Return what has become of a run and which weights its last are, or nothing: of a finished one, and of others."""
    folder = run_of(path)
    if suffix_of(path) or not (folder / "config.yaml").exists():
        return ""
    status = str(read_summary(folder).get("status", "running"))
    said = "" if status == "finished" else _SAID.get(status, status)
    return said and f"{said}: these are its weights of {epoch}"


def _file(path: Path) -> Path:
    return path / "checkpoint.pt" if path.is_dir() else path


def _load_evaluated(model: nn.Module, state: Mapping[str, Any], path: Path) -> None:
    try:
        model.load_state_dict(state["evaluated"])
    except RuntimeError as error:
        config = validate(as_stored(state["config"]))
        raise CheckpointError(f"{path}: its weights do not fit {config.model.name} on {config.data.name}") from error
