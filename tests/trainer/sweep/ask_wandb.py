"""Write wandb_answers.jsonl: what W&B's own package says to cases of this script. No code of it is copied here.

uv venv --python 3.11 /tmp/oracle && uv pip install --python /tmp/oracle/bin/python sweeps==0.3.0
/tmp/oracle/bin/python tests/trainer/sweep/ask_wandb.py
"""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false

import copy
import json
import random
import warnings
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

warnings.simplefilter("ignore")  # before the imports below, which warn of old Pydantic (E402)

import numpy as np  # noqa: E402
from sweeps.bayes_search import _construct_gp_data, bayes_baseline_validate_and_fill  # noqa: E402
from sweeps.config import SweepConfig  # noqa: E402
from sweeps.grid_search import grid_search_next_runs  # noqa: E402
from sweeps.params import HyperParameter  # noqa: E402

import sweeps  # noqa: E402

LEVELS = [0.001, 0.01, 0.1, 0.25, 0.4, 0.5, 0.6, 0.75, 0.9, 0.99, 0.999]
BASE: dict[str, Any] = {"method": "grid", "metric": {"name": "l"}, "parameters": {"a": {"values": [1, 2]}}}


def main() -> None:
    draw = random.Random(0)
    lines = [*brackets(), *stops(draw), *grids(draw), *quantiles(), *imputed(draw), *files()]
    out = Path(__file__).parent / "wandb_answers.jsonl"
    out.write_text(
        "".join(json.dumps(line, default=_plain, ensure_ascii=False, separators=(",", ":")) + "\n" for line in lines),
        encoding="utf-8",
    )


def brackets() -> Iterator[dict[str, Any]]:
    etas = [None, 1.5, 2, 2.5, 3, 4, 10]
    for max_iter, s, eta in product([1, 2, 3, 8, 9, 10, 25, 27, 81, 100, 200], [1, 2, 3, 4, 6], etas):
        yield _brackets({"max_iter": max_iter, "s": s}, eta)
    for min_iter, eta in product([1, 2, 3, 5, 10], etas):
        yield _brackets({"min_iter": min_iter}, eta)
    yield _brackets({"min_iter": 2, "max_iter": 25, "s": 4}, 2)
    yield _brackets({"min_iter": 2, "s": 4}, 2)
    yield _brackets({"min_iter": 2, "max_iter": 25}, 2)


def _brackets(keys: dict[str, Any], eta: float | None) -> dict[str, Any]:
    early = {"type": "hyperband", **keys, **({"eta": eta} if eta else {})}
    run = sweeps.SweepRun(name="r", state="running", history=[{"l": 1}])
    found = _try(lambda: sweeps.stop_runs({**BASE, "early_terminate": dict(early)}, [run], validate=True))
    bands = None if found is None else sorted({band for band in run.early_terminate_info["bands"] if band <= 1000})
    return {"kind": "brackets", "early_terminate": early, "brackets": bands}


def stops(draw: random.Random) -> Iterator[dict[str, Any]]:
    for _ in range(120):
        early: dict[str, Any] = {"type": "hyperband", "eta": draw.choice([1.5, 2, 3])}
        early |= draw.choice([{"min_iter": 1}, {"min_iter": 2}, {"max_iter": 12, "s": 3}])
        early |= draw.choice([{}, {"strict": True}, {"strict": False}])
        goal = draw.choice(["minimize", "maximize"])
        histories = [[draw.randint(0, 9) / 10 for _ in range(draw.randint(1, 14))] for _ in range(draw.randint(1, 8))]
        runs = [
            sweeps.SweepRun(name=str(i), state="running", history=[{"l": value} for value in history])
            for i, history in enumerate(histories)
        ]
        config = {**BASE, "metric": {"name": "l", "goal": goal}, "early_terminate": dict(early)}
        stopped = sorted(int(run.name) for run in sweeps.stop_runs(config, runs, validate=True))
        yield {"kind": "stops", "early_terminate": early, "goal": goal, "histories": histories, "stopped": stopped}


def grids(draw: random.Random) -> Iterator[dict[str, Any]]:
    for _ in range(150):
        written = _parameters(draw, depth=0)
        runs = grid_search_next_runs([], {"method": "grid", "parameters": copy.deepcopy(written)}, n=24)
        points = [{key: held["value"] for key, held in run.config.items()} for run in runs if run]
        yield {"kind": "grid", "parameters": written, "points": points}


def _parameters(draw: random.Random, depth: int) -> dict[str, Any]:
    names = draw.sample(["a", "b", "B", "a.x", "a.b", "c_1", "c", "Zeta", "zeta"], draw.randint(1, 4))
    if depth and len(names) > 2:
        names = names[:2]
    return {name: _parameter(draw, depth, nests="." not in name and depth < 2) for name in names}


def _parameter(draw: random.Random, depth: int, *, nests: bool) -> dict[str, Any]:
    pool = [0, 1, 1.0, 2.5, -3, True, False, None, "relu", "1", "on", [3, 3], [], {"k": 1}, 1e-05, 1e300, "1e-3", "é"]
    match draw.randint(0, 6):
        case 0 | 1:
            return {"values": [draw.choice(pool) for _ in range(draw.randint(1, 4))]}
        case 2:
            return {"value": draw.choice(pool)}
        case 3:
            low = draw.randint(-3, 3)
            return {"min": low, "max": low + draw.randint(1, 4)}
        case 4:
            low = draw.choice([0, 0.0, 0.5, -1, 1])
            q = draw.choice([0.25, 0.1, 1, 0.3, 2])
            return {"distribution": "q_uniform", "min": low, "max": low + draw.choice([1, 1.0, 0.7, 3]), "q": q}
        case _:
            return {"parameters": _parameters(draw, depth + 1)} if nests else {"values": [1, 2]}


def quantiles() -> Iterator[dict[str, Any]]:
    specs: list[dict[str, Any]] = [
        {"values": [1, 2, 3]},
        {"values": ["a", "b"], "probabilities": [0.2, 0.8]},
        {"values": [5, 6, 7], "probabilities": [0.5, 0, 0.5]},
        {"value": 7},
        {"min": 0, "max": 9},
        {"min": -7, "max": 1000},
        {"min": 0.0, "max": 2.0},
        {"min": 0, "max": 0.01},
        *({"distribution": "q_uniform", "min": a, "max": b, "q": q}
          for a, b, q in [(0, 1, 0.25), (0.05, 0.95, 0.1), (1, 9, 2), (-3.0, 3.0, 1.5)]),
        *({"distribution": name, "min": a, "max": b}
          for name in ("log_uniform_values", "inv_log_uniform_values") for a, b in [(1e-5, 1), (0.5, 64.0), (1, 2)]),
        *({"distribution": "q_log_uniform_values", "min": a, "max": b, "q": q}
          for a, b, q in [(1, 64, 8), (0.01, 1, 0.02), (16, 512, 16)]),
        *({"distribution": name, "mu": mu, "sigma": sigma}
          for name in ("normal", "log_normal") for mu, sigma in [(0, 1), (-3, 0.5), (2.5, 2)]),
        {"distribution": "normal"},
        {"distribution": "log_normal"},
        *({"distribution": name, "mu": 1.5, "sigma": 2, "q": q}
          for name in ("q_normal", "q_log_normal") for q in (0.5, 1, 3)),
        *({"distribution": "beta", "a": a, "b": b} for a, b in [(1, 1), (2, 5), (0.5, 0.5), (8, 2)]),
        *({"distribution": "q_beta", "a": 2, "b": 2, "q": q} for q in (0.1, 0.25, 1)),
        {"distribution": "beta"},
        {"distribution": "q_beta"},
    ]  # fmt: skip
    for spec in specs:
        parameter = HyperParameter("a", dict(spec))
        yield {"kind": "quantiles", "spec": spec, "values": [parameter.ppf(x) for x in LEVELS]}


def imputed(draw: random.Random) -> Iterator[dict[str, Any]]:
    for _ in range(120):
        metric = {"name": "l", "goal": draw.choice(["minimize", "maximize"])}
        metric |= draw.choice([{}, {"impute": draw.choice(["best", "latest", "worst"])}])
        metric |= draw.choice([{}, {"impute_while_running": draw.choice(["best", "latest", "worst", "false"])}])
        # A finished run has one value: W&B tells its best one, and the trainer its last one.
        runs = [("finished", [draw.randint(1, 9) / 10])] + [
            (state, [draw.randint(1, 9) / 10 for _ in range(1 if state == "finished" else draw.randint(1, 4))])
            for state in draw.choices(["finished", "crashed", "running"], k=draw.randint(1, 5))
        ]
        config = {"method": "bayes", "metric": dict(metric), "parameters": {"a": {"min": 0.0, "max": 1.0}}}
        told = [
            sweeps.SweepRun(state=state, config={"a": {"value": 0.5}}, history=[{"l": value} for value in values])
            for state, values in runs
        ]
        _, _, _, y, _ = _construct_gp_data(told, bayes_baseline_validate_and_fill(config))
        sign = -1 if metric["goal"] == "maximize" else 1
        yield {"kind": "imputed", "metric": metric, "runs": runs, "told": [sign * float(value) for value in y]}


def files() -> Iterator[dict[str, Any]]:
    """Whole files, each with one key another than in BASE."""
    odd: list[Any] = [None, True, 0, 1, -1, 2.5, "", "x", "1", [], ["x"], {}, {"name": "l"}, {"type": "local"}]
    tops = "apiVersion kind controller description program job image_uri entity project method command name run_cap"
    tops += " metric metrics scheduler early_terminate parameters nosuch"
    changes: list[tuple[str, Any]] = [(key, value) for key in tops.split() for value in odd]
    changes += [("kind", "sweep"), ("controller", {"type": "cloud"}), ("method", "grids"), ("run_cap", 5.0)]
    for key in ("name", "goal", "target", "impute", "impute_while_running", "nosuch"):
        values = [*odd[:10], "minimize", "maximize", "best", "latest", "worst", "false", 0.5]
        changes += [("metric", {"name": "l", key: value}) for value in values]
    changes.append(("metric", {"goal": "maximize"}))
    for key in ("min_iter", "max_iter", "s", "eta", "strict", "type", "nosuch"):
        for value in [*odd[:10], 3, 1.5, 3.0, 27]:
            for rest in ({"min_iter": 1}, {"max_iter": 27, "s": 2}):
                changes.append(("early_terminate", {"type": "hyperband", **rest, key: value}))
    changes += [("scheduler", {"engine": engine}) for engine in ("wandb", "optuna", "ax", "nosuch")]
    for key in ("a-b", "a.b", "a.", ".a", "1a", "a b", "ä", "", "_", "A9"):
        changes.append(("parameters", {key: {"value": 1}}))
    for method in ("grid", "random", "bayes"):
        for key, value in changes:
            file = {**BASE, "method": method, **({"run_cap": 5} if method != "grid" else {}), key: value}
            accepted = _try(lambda: _run(file)) is not None  # noqa: B023 - called at once
            yield {"kind": "file", "method": method, "key": key, "value": value, "accepted": accepted}


def _run(file: dict[str, Any]) -> bool:
    """Read a file and ask for its first run, and for what early termination stops."""
    config = SweepConfig(copy.deepcopy(file))
    sweeps.next_runs(copy.deepcopy(dict(config)), [])
    if "early_terminate" in file:
        sweeps.stop_runs(copy.deepcopy(file), [sweeps.SweepRun(state="running", history=[{"l": 1}])], validate=True)
    return True


def _try(ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except Exception:  # each of its refusals has a type of its own
        return None


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value.tolist()


if __name__ == "__main__":
    main()
