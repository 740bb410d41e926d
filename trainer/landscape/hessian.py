"""The Hessian of a run's loss at chosen epochs: largest eigenvalues, and the trace.

A result, RUN/hessian/NAME.json, is one object with `settings` and `rows`, one row an epoch in ascending order:

epoch, weights               the network measured
parameters                   the number of rows and columns of the Hessian
loss, gradient_norm          over the images measured
eigenvalues, residuals       the largest, descending; an eigenvalue is within the residual of each
smallest, smallest_residual  the smallest, below 0 where the loss curves downwards
trace, trace_error           Hutchinson's estimate and its standard error; null for too few samples
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from trainer.errors import CheckpointError, ConfigError
from trainer.files import write_json
from trainer.landscape.curvature import Lanczos, Ritz, mean_and_error, rademacher
from trainer.landscape.journal import Journal, StepsFile, digest
from trainer.landscape.mean_loss import MeanLoss, build_mean_loss
from trainer.landscape.network import MeasuredNetwork, weights_digest
from trainer.landscape.progress import ProgressDisplay
from trainer.runs.folder import config_hash
from trainer.runs.measured import read_measured
from trainer.seeds import generator
from trainer.training.numerics import numerics
from trainer.training.trained import kept_epochs, load_weights


def epochs_asked(network: MeasuredNetwork, asked: str) -> dict[float, Path]:
    """Return where the weights of each epoch in `asked` are: `0,5,20`, `all` kept ones, or `last`. Raises UserError."""
    run = network.run
    if asked == "last":
        return {network.epoch: run}
    kept = kept_epochs(run)
    if not kept:
        cure = "train with probe.path.every_epochs=1, or take --epochs last"
        raise CheckpointError(f"{run}: the run kept no weights during training; {cure}")
    if asked == "all":
        return kept
    try:
        wanted = sorted({float(each) for each in asked.split(",")})
    except ValueError as error:
        raise ConfigError(f"--epochs: {asked!r}: give epochs such as 0,5,20, or all, or last") from error
    shown = {f"{epoch:g}": epoch for epoch in kept}
    if missing := [name for epoch in wanted if (name := f"{epoch:g}") not in shown]:
        listed = ", ".join(shown)
        raise ConfigError(*(f"--epochs: {name} is not kept by {run}, which has {listed}" for name in missing))
    return {(epoch := shown[f"{each:g}"]): kept[epoch] for each in wanted}


def measure_hessian(
    network: MeasuredNetwork,
    epochs: Mapping[float, Path],
    *,
    top: int,
    iterations: int,
    trace_samples: int,
    chunk: int,
    batch_statistics: bool,
    dtype: torch.dtype,
    folder: Path,
) -> Path:
    """Return the file in `folder` with these epochs and those measured before. Raises UserError."""
    if top > iterations:
        raise ConfigError(f"--top: {top} eigenvalues need as many iterations; take --iterations {top} or more")
    settings = {
        **network.settings,
        "config": config_hash(network.config),
        "top": top,
        "iterations": iterations,
        "trace_samples": trace_samples,
        "chunk": chunk,
        "batch_statistics": batch_statistics,
        "precision": str(dtype).removeprefix("torch."),
    }
    name = f"{settings['split']}{settings['images']}-{digest(settings)}"
    result = folder / f"{name}.json"
    mean_loss = build_mean_loss(network, chunk=chunk, batch_statistics=batch_statistics, dtype=dtype)
    for epoch, path in epochs.items():
        load_weights(mean_loss.model, path)
        weights = weights_digest(mean_loss.model)
        shown = f"{epoch:g}"
        if _rows(result).get(shown, {}).get("weights") == weights:
            continue
        unfinished = f"{name}-epoch{shown}-{weights}"
        steps = StepsFile(folder / f"{unfinished}.basis", mean_loss.size, dtype)
        which = {"epoch": epoch, "weights": weights}
        with Journal(folder / f"{unfinished}.jsonl", settings | which) as journal, numerics(network.config.train):
            title = f"Hessian of {network.run.name} at epoch {shown}"
            row = which | _measure_epoch(mean_loss, path, settings, journal, steps, title)
            rows = _rows(result) | {shown: row}  # read again: another process may have added an epoch
            in_order = sorted(rows.values(), key=lambda row: row["epoch"])
            write_json(result, {"settings": settings, "rows": in_order})
            steps.remove()
            journal.remove()
    return result


def as_text(result: dict[str, Any]) -> str:
    """Return a result as a line an epoch. After `±` is the residual of an eigenvalue, or a standard error."""
    lines: list[str] = []
    for row in result["rows"]:
        pairs = zip(row["eigenvalues"], row["residuals"], strict=True)
        values = "  ".join(f"{value:.4g} ± {residual:.1g}" for value, residual in pairs)
        trace = "" if row["trace"] is None else f"  trace {row['trace']:.4g}"
        error = "" if row["trace_error"] is None else f" ± {row['trace_error']:.2g}"
        lines.append(f"epoch {row['epoch']:<6g} loss {row['loss']:.4f}  eigenvalues {values}{trace}{error}")
    return "\n".join(lines)


def _measure_epoch(
    mean_loss: MeanLoss, path: Path, settings: Mapping[str, Any], journal: Journal, steps: StepsFile, title: str
) -> dict[str, Any]:
    """Return the numbers of a row. Raises CheckpointError, which names `path`, if the loss is not finite."""
    loss, gradient_norm = mean_loss.loss_and_gradient_norm()
    if not math.isfinite(loss):
        raise CheckpointError(f"{path}: its loss over these images is {loss}")
    ritz, samples = _spectrum(mean_loss, settings, journal, steps, title)
    trace, trace_error = mean_and_error(samples)
    return {
        "parameters": mean_loss.size,
        "loss": loss,
        "gradient_norm": gradient_norm,
        "eigenvalues": ritz.values[: settings["top"]].tolist(),
        "residuals": ritz.residuals[: settings["top"]].tolist(),
        "smallest": ritz.values[-1].item(),
        "smallest_residual": ritz.residuals[-1].item(),
        "trace": trace,
        "trace_error": trace_error,
    }


def _spectrum(
    mean_loss: MeanLoss, settings: Mapping[str, Any], journal: Journal, steps: StepsFile, title: str
) -> tuple[Ritz, list[float]]:
    """Return (Ritz values by Lanczos, Hutchinson's samples of the trace). Continue what the two files contain."""
    like, seed = mean_loss.parameters[0], settings["seed"]

    def draw(k: int) -> Tensor:
        return torch.randn(mean_loss.size, generator=generator(seed, "lanczos", k)).to(like)

    lanczos = Lanczos(mean_loss.hessian_product, draw, settings["iterations"])
    for step in steps.read():
        lanczos.put(*step)
    samples: list[float] = [row["sample"] for row in journal.rows]
    done, count = len(lanczos.alphas) + len(samples), settings["trace_samples"]
    with ProgressDisplay(title, lanczos.steps + count, done=done) as display:
        while len(lanczos.alphas) < lanczos.steps:
            steps.add(*lanczos.step())
            display.advance(f"largest eigenvalue {lanczos.ritz().values[0]:.4g}")
        while len(samples) < count:
            v = rademacher(mean_loss.size, generator(seed, "hutchinson", len(samples))).to(like)
            samples.append(torch.dot(v.double(), mean_loss.hessian_product(v).double()).item())
            journal.add({"sample": samples[-1]})
            display.advance(f"trace {mean_and_error(samples)[0]:.4g}")
    return lanczos.ritz(), samples


def _rows(result: Path) -> dict[str, dict[str, Any]]:
    """Return the rows of a result by epoch, in six digits: older ones say 1.33333 of the same weights as 4 / 3."""
    rows = read_measured(result)["rows"] if result.exists() else []
    return {f"{row['epoch']:g}": row for row in rows}
