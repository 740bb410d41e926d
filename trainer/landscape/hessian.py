"""The Hessian of a run's loss at chosen epochs: largest eigenvalues, and the trace.

A result, RUN/hessian/NAME.json, is one object: `settings`, and `rows`, one an epoch, in their order:

epoch, weights               of which network
parameters                   the Hessian's order
loss, gradient_norm          over the images measured
eigenvalues, residuals       the largest, in descending order, each with the distance within which an eigenvalue lies
smallest, smallest_residual  the other end, below 0 where the loss curves downwards
trace, trace_error           Hutchinson's estimate and its standard error; null where too few samples were asked for
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from trainer.errors import CheckpointError, ConfigError
from trainer.files import write_whole
from trainer.landscape.curvature import Lanczos, Ritz, mean_and_error, rademacher
from trainer.landscape.journal import Journal, digest
from trainer.landscape.mean_loss import MeanLoss, build_mean_loss
from trainer.landscape.network import MeasuredNetwork, full_precision, weights_digest
from trainer.landscape.progress import Watched
from trainer.landscape.steps_file import StepsFile
from trainer.runs.folder import config_hash
from trainer.seeds import generator
from trainer.training.trained import kept_epochs, load_weights


def epochs_asked(network: MeasuredNetwork, asked: str) -> dict[float, Path]:
    """Of each epoch in `asked`, where its weights lie: `0,5,20`, `all` that are kept, or `last`. Raises UserError."""
    run = network.run
    if asked == "last":
        return {network.epoch: run}
    kept = kept_epochs(run)
    if not kept:
        cure = "train with probe.path.every_epochs=1, or take --epochs last"
        raise CheckpointError(f"{run}: keeps no weights on the way of its training; {cure}")
    if asked == "all":
        return kept
    try:
        wanted = sorted({float(each) for each in asked.split(",")})
    except ValueError as error:
        raise ConfigError(f"--epochs: {asked!r}: epochs with commas between, such as 0,5,20, or all or last") from error
    listed = ", ".join(f"{epoch:g}" for epoch in kept)
    if missing := [epoch for epoch in wanted if epoch not in kept]:
        raise ConfigError(*(f"--epochs: {epoch:g} is not kept by {run}, which has {listed}" for epoch in missing))
    return {epoch: kept[epoch] for epoch in wanted}


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
    """The result's file in `folder`: these epochs, and those measured before in the same way. Raises UserError."""
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
    rows = {row["epoch"]: row for row in _rows(result)}
    mean_loss = build_mean_loss(network, chunk=chunk, batch_statistics=batch_statistics, dtype=dtype)
    for epoch, path in epochs.items():
        load_weights(mean_loss.model, path)
        which = {"epoch": epoch, "weights": weights_digest(mean_loss.model)}
        if rows.get(epoch, {}).get("weights") == which["weights"]:
            continue
        working = f"{name}-epoch{epoch:g}-{which['weights']}"
        steps = StepsFile(folder / f"{working}.basis", mean_loss.size, dtype)
        with Journal(folder / f"{working}.jsonl", {**settings, **which}) as journal, full_precision(network):
            loss, gradient_norm = mean_loss.loss_and_gradient_norm()
            if not math.isfinite(loss):
                raise CheckpointError(f"{path}: its loss over these images is {loss}")
            title = f"Hessian of {network.run.name} at epoch {epoch:g}"
            ritz, samples = _measure(mean_loss, network, journal, steps, iterations, trace_samples, title)
            trace, trace_error = mean_and_error(samples)
            rows = {row["epoch"]: row for row in _rows(result)}  # another process may have added an epoch of its own
            rows[epoch] = {
                **which,
                "parameters": mean_loss.size,
                "loss": loss,
                "gradient_norm": gradient_norm,
                "eigenvalues": ritz.values[:top].tolist(),
                "residuals": ritz.residuals[:top].tolist(),
                "smallest": ritz.values[-1].item(),
                "smallest_residual": ritz.residuals[-1].item(),
                "trace": trace,
                "trace_error": trace_error,
            }
            content = {"settings": settings, "rows": [rows[each] for each in sorted(rows)]}
            write_whole(result, (json.dumps(content, allow_nan=False) + "\n").encode())
            steps.remove()
            journal.remove()
    return result


def as_text(result: dict[str, Any]) -> str:
    """A result, an epoch a line; `+-` is the distance within which an eigenvalue lies, or a standard error."""
    lines: list[str] = []
    for row in result["rows"]:
        pairs = zip(row["eigenvalues"], row["residuals"], strict=True)
        values = "  ".join(f"{value:.4g} +- {residual:.1g}" for value, residual in pairs)
        trace = "" if row["trace"] is None else f"  trace {row['trace']:.4g}"
        error = "" if row["trace_error"] is None else f" +- {row['trace_error']:.2g}"
        lines.append(f"epoch {row['epoch']:<6g} loss {row['loss']:.4f}  eigenvalues {values}{trace}{error}")
    return "\n".join(lines)


def _measure(
    mean_loss: MeanLoss,
    network: MeasuredNetwork,
    journal: Journal,
    steps: StepsFile,
    iterations: int,
    trace_samples: int,
    title: str,
) -> tuple[Ritz, list[float]]:
    """(what Lanczos finds, Hutchinson's samples), on from where the files stand."""
    like = mean_loss.parameters[0]

    def draw(k: int) -> Tensor:
        return torch.randn(mean_loss.size, generator=generator(network.seed, "lanczos", k)).to(like)

    lanczos = Lanczos(mean_loss.hessian_product, draw, iterations)
    for step in steps.read():
        lanczos.put(*step)
    samples: list[float] = [row["sample"] for row in journal.rows]
    done = len(lanczos.alphas) + len(samples)
    with Watched(title, lanczos.steps + trace_samples, done=done) as watched:
        while len(lanczos.alphas) < lanczos.steps:
            steps.add(*lanczos.step())
            watched.advance(f"largest eigenvalue {lanczos.ritz().values[0]:.4g}")
        while len(samples) < trace_samples:
            v = rademacher(mean_loss.size, generator(network.seed, "hutchinson", len(samples))).to(like)
            samples.append(torch.dot(v.double(), mean_loss.hessian_product(v).double()).item())
            journal.add({"sample": samples[-1]})
            watched.advance(f"trace {mean_and_error(samples)[0]:.4g}")
    return lanczos.ritz(), samples


def _rows(result: Path) -> list[dict[str, Any]]:
    return json.loads(result.read_text(encoding="utf-8"))["rows"] if result.exists() else []
