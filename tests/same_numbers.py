"""Show that a change is harmless: `python tests/same_numbers.py REVISION` compares this checkout with an earlier one.

Both train three networks for 30 steps each. Rows, weights and optimizer state must agree to the bit, times apart. Both
then report on one prepared folder of runs. Every number of the two results.json must agree. Texts that differ and keys
that only one has are printed, since labels, sentences and sets of keys may have changed on purpose.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

ROOT = Path(__file__).parents[1]
SMALL = ["--data", "shapes10", "data.train_size=480", "train.batch_size=16", "--epochs", "1"]
QUIET = ["--device", "cpu", "sink.wandb.mode=disabled", "sink.console.mode=off"]
PROBES = ["probe.walk.every=10", "probe.drift.every=1", "probe.shift.every=15", "probe.features.every=10"]
RUNS = {"resnet18": [], "vgg_a_bn": PROBES, "fastresnet9": []}
NOW = {"fastresnet9": ["train.ema.warmup=false"]}  # defaults that have changed since 79e8fc6
SWEEP = ["sweeps/smoke.yaml", "train.epochs=2", "data.train_size=64", "sink.wandb.mode=disabled"]


def trainer(checkout: Path, *arguments: str) -> None:
    env = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "2"}
    subprocess.run([sys.executable, "-m", "trainer.cli", *arguments], cwd=checkout, env=env, check=True)


def rows_of(run: Path) -> list[dict[str, float]]:
    rows = map(json.loads, (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
    return [{key: value for key, value in row.items() if not key.startswith("time/")} for row in rows]


def tensors_of(content: Any, path: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    if isinstance(content, torch.Tensor):
        yield path, content
    elif isinstance(content, dict):
        for key, value in content.items():
            yield from tensors_of(value, f"{path}/{key}")


def compare_run(before: Path, after: Path) -> list[str]:
    problems = [] if rows_of(before) == rows_of(after) else [f"{after.name}: metrics.jsonl differs"]
    old, new = (dict(tensors_of(torch.load(each / "checkpoint.pt", weights_only=True))) for each in (before, after))
    if old.keys() != new.keys():
        problems.append(f"{after.name}: the checkpoint holds other tensors: {sorted(old.keys() ^ new.keys())}")
    return problems + [
        f"{after.name}: {key} differs" for key in old.keys() & new.keys() if not old[key].equal(new[key])
    ]


def leaves(content: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the values of nested JSON, each with its path."""
    if isinstance(content, dict | list):
        for key, value in content.items() if isinstance(content, dict) else enumerate(content):
            yield from leaves(value, f"{path}/{key}")
    else:
        yield path, content


def compare_reports(before: Path, after: Path) -> list[str]:
    old, new = (dict(leaves(json.loads(each.read_text(encoding="utf-8")))) for each in (before, after))
    print("".join(f"  only before: {path} = {old[path]!r}\n" for path in old.keys() - new.keys()))
    print("".join(f"  only after: {path} = {new[path]!r}\n" for path in new.keys() - old.keys()))
    differing = [path for path in old.keys() & new.keys() if old[path] != new[path]]
    texts = [path for path in differing if isinstance(old[path], str) and isinstance(new[path], str)]
    print("".join(f"  text: {path}: {old[path]!r} -> {new[path]!r}\n" for path in texts))
    return [f"results.json: {path}: {old[path]!r} -> {new[path]!r}" for path in differing if path not in texts]


def main(revision: str) -> int:
    problems: list[str] = []
    with TemporaryDirectory() as scratch:
        base, made = Path(scratch, "checkout"), Path(scratch, "runs")
        subprocess.run(["git", "worktree", "add", "--quiet", "--detach", base, revision], cwd=ROOT, check=True)
        try:
            for side, checkout in (("before", base), ("after", ROOT)):
                for name, more in RUNS.items():
                    command = ["train", "--model", name, "--name", name, "--runs", str(made / side)]
                    trainer(checkout, *command, *SMALL, *QUIET, *more, *(NOW.get(name, []) if side == "after" else []))
            for name in RUNS:
                problems += compare_run(made / "before" / name, made / "after" / name)
            trainer(base, "sweep", "run", *SWEEP, "--runs", str(made))
            for side, checkout in (("before", base), ("after", ROOT)):
                trainer(checkout, "report", "smoke", "--runs", str(made), "--out", str(made / f"report-{side}"))
            problems += compare_reports(*(made / f"report-{side}" / "results.json" for side in ("before", "after")))
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", base], cwd=ROOT, check=True)
    print("\n".join(problems) or f"the same numbers as {revision}, to the bit")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
