"""Run folders as a finished training leaves them, with figures that a test chooses; no network is trained."""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from shutil import copy
from typing import Any

import landscapes
import pytest
import yaml

from trainer.config import load_config

SWEEPS = Path(__file__).parents[3] / "sweeps"

WriteRun = Callable[..., Path]
WriteSweep = Callable[..., Path]


@cache
def config_text(words: tuple[str, ...]) -> str:
    """config.yaml without its seed."""
    config = load_config(words).config.model_dump(mode="json")
    return yaml.safe_dump({key: value for key, value in config.items() if key != "seed"}, sort_keys=False)


@pytest.fixture
def write_run() -> WriteRun:
    """`write_run(folder, words, accuracy=..., ...)`: what a run of these words would leave in its folder."""

    def write(
        folder: Path,
        words: Sequence[str] = (),
        *,
        accuracy: float | None = 0.9,
        best: float | None = None,
        status: str = "finished",
        epochs: int = 3,
        parameters: int = 1000,
        seconds: float = 60.0,
        command: Sequence[str] | None = None,
    ) -> Path:
        folder.mkdir(parents=True)
        seed = next((int(word.removeprefix("seed=")) for word in words if word.startswith("seed=")), 0)
        text = config_text(tuple(word for word in words if not word.startswith("seed=")))
        (folder / "config.yaml").write_text(f"seed: {seed}\n{text}")
        reached = accuracy or 0.0
        rows = [
            {"epoch": float(epoch), "step": 10 * epoch, "train/loss": 1 / epoch, "train/accuracy": reached * 0.9,
             "test/accuracy": reached - 0.1 * (epochs - epoch) / epochs}
            for epoch in range(1, epochs + 1)
        ]  # fmt: skip
        (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        provenance = {
            "seed": seed,
            "command": f"trainer train {' '.join(words if command is None else command)} --name {folder.name}",
            "started": "2026-01-01T00:00:00+00:00",
            "git": {"revision": "0123456789abcdef", "dirty": False},
            "device": "a test",
            "precision": "float32",
            "python": "3.11.7",
            "versions": {"torch": "2.11.0"},
            "machine": {"system": "Linux", "processor": "a processor", "cores": 2},
            "status": status,
        }
        (folder / "run.json").write_text(json.dumps(provenance))
        if status != "running":
            summary = {
                "status": status,
                "epoch": float(epochs),
                "train/accuracy": reached * 0.9,
                "test/accuracy": accuracy,
                "test/accuracy_best": best if best is not None else accuracy,
                "headline/accuracy": accuracy,
                "time/train_seconds": seconds,
                "model/parameters": parameters,
                "model/trainable_parameters": parameters,
            }
            (folder / "summary.json").write_text(json.dumps(summary))
        return folder

    return write


@pytest.fixture
def write_schedules(tmp_path: Path, write_run: WriteRun) -> WriteSweep:
    """`write_schedules({"cosine": [0.91, 0.92, 0.93]}, words)`: the folder of the sweep lr_scheduler, at the published
    settings but for `words`, a seed a value."""

    def write(accuracies: dict[str, Sequence[float | None]], *words: str) -> Path:
        folder = tmp_path / "runs" / "lr_scheduler"
        folder.mkdir(parents=True, exist_ok=True)
        copy(SWEEPS / "lr_scheduler.yaml", folder)
        for name, values in accuracies.items():
            for seed, accuracy in enumerate(values):
                own = ["recipe=resnet18", "optimizer.lr=0.01", "train.epochs=25", f"schedule.name={name}", *words]
                # A network's own defaults come from its builder, which is not asked here.
                defaults = ["model.act=relu"]
                write_run(folder / f"{name}-s{seed}", [*own, *defaults, f"seed={seed}"], accuracy=accuracy)
        return folder

    return write


@pytest.fixture
def write_landscape(tmp_path: Path, write_run: WriteRun) -> Callable[..., Path]:
    """`write_landscape(widths, sweep="bn_landscape", ...)`: see `landscapes`."""

    def write(
        widths: Mapping[str, Sequence[float]] = landscapes.WIDTHS, sweep: str = "bn_landscape", **more: Any
    ) -> Path:
        return landscapes.write_landscape(tmp_path / "runs" / sweep, write_run, widths, **more)

    return write
