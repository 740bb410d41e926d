"""Run folders of a sweep over learning rates whose probes have measured figures that a test chooses."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from shutil import copy

from trainer.sweep.file import read_sweep
from trainer.sweep.points import points_of

SWEEPS = Path(__file__).parents[1] / "sweeps"
WIDTHS = {"vgg_a": [0.4, 0.5, 0.8, 0.3, 0.6], "vgg_a_bn": [0.2, 0.25, 0.5, 0.1, 0.3]}
STEPS = range(0, 100, 10)
_BOTH = ["model.width=64", "model.dropout=0.0", "model.head_width=512", "model.act=relu", "model.init=paper"]
DEFAULTS = {"vgg_a": [*_BOTH, "model.norm=none"], "vgg_a_bn": _BOTH}  # of the builders, which are not asked here


def write_landscape(
    folder: Path,
    write_run: Callable[..., Path],
    widths: Mapping[str, Sequence[float]] = WIDTHS,
    cosine: float = 0.1,
    accuracy: Callable[[str, float, int], float] | None = None,
) -> Path:
    """Write a sweep, called like its folder, whose loss bands have these widths, by seed.

    The loss is 1 plus the width times the place of the rate, 0 to 1, so the band has that width at each step.
    """
    folder.mkdir(parents=True)
    copy(SWEEPS / f"{folder.name}.yaml", folder)
    file = read_sweep(SWEEPS / f"{folder.name}.yaml")
    rates = sorted({float(point.values.get("optimizer.lr", 0.1)) for point in points_of(file)})
    for point in points_of(file):
        model, seed = str(point.values["model.name"]), int(point.values["seed"])
        if seed >= len(widths[model]):
            continue
        rate = float(point.values.get("optimizer.lr", 0.1))
        words = [*DEFAULTS[model], *(word for word in point.overrides if not word.startswith("seed="))]
        reached = 0.8 if accuracy is None else accuracy(model, rate, seed)
        run = write_run(folder / f"{model}-{rate:g}-s{seed}", [*words, f"seed={seed}"], accuracy=reached)
        _measure(run, widths[model][seed], rates.index(rate) / max(1, len(rates) - 1), cosine)
    return folder


def _measure(run: Path, width: float, place: float, cosine: float) -> None:
    rows = [
        {
            "epoch": step / 100,
            "step": step,
            "runs/loss": 1 + width * place,
            "runs/grad_cosine": cosine * width,
            "runs/beta": 10 * width * (1 + place),
            "runs/lipschitz": 20 * width + step / 100,
            "probe/beta": 5 * width,
        }
        for step in STEPS
    ]
    with (run / "metrics.jsonl").open("a") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
