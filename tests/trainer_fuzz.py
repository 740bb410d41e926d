"""Spoil real sweep files, config files and overrides, by a seed: `python tests/trainer_fuzz.py FIRST COUNT`.

Each case goes through what `trainer sweep check` and `trainer train` call before anything starts. It must end well or
with a UserError of short single lines.
"""

import copy
import json
import random
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from trainer.config import load_config
from trainer.config.overrides import flatten, write_override
from trainer.config.recipes import recipe_names, recipe_text
from trainer.errors import UserError
from trainer.sweep.check import check
from trainer.sweep.file import read_sweep, with_overrides
from trainer.training.network_arguments import complete_parts

ROOT = Path(__file__).parents[1]
SECONDS = 20
LONGEST_LINE = 1000

ODD: list[Any] = [
    None, True, False, 0, -1, 1, 2**63, 2**64, -(2**70), 10**300, 0.5, -0.0, 1e-320, 1e308, float("nan"), float("inf"),
    "", " ", "x", "1", "1e-3", "None", "null", "on", "é", "\u0000", "\ud7ff", "\U0001f600", "a" * 3000, "../..", "/",
    [], [[]], [None], [1, 2, 3], ["a", "b"], {}, {"a": 1}, {"name": "x"}, {"value": 1}, {"values": [1, 2]}, {"min": 0},
    {"min": 0, "max": 1}, {"min": 0, "max": 10**18}, {"min": 0.0, "max": 1e308}, {"min": -1e308, "max": 1e308},
    {"distribution": "normal", "mu": 1e308, "sigma": 1e308},
    {"distribution": "q_uniform", "min": 0, "max": 1, "q": 1e-9},
    {"distribution": "beta", "a": 1e-9, "b": 1e9}, {"parameters": {"lr": {"value": 1}}}, list(range(3000)),
    {"values": list(range(400))}, "timm/resnet18", "${args}", "--lr", "a.b.c", "__class__", "lr", "name",
]  # fmt: skip
KEYS = ["value", "values", "min", "max", "distribution", "q", "parameters", "name", "eta", "s", "lr", "seed"]
SCRAPS = [
    "*a", "&a ", "&a [*a]", "<<: *a",
    "!!python/object:os.system x", "!!int x", "!!binary x", "!!set {a}", "!!timestamp x",
    "2024-01-01", "2024-13-45", "0x" + "f" * 400, "9" * 5000, "[" * 3000, "{" * 200, "---\n", "...\n",
    "%YAML 9\n", "\t",
    "\x00", "\x07", "\u2028", "\ufeff",
    "? ", "- ", ": ", "| ", "> ", "'", '"', "#", "@", "`", ",", "\r", "1_000", "1:30", ".nan",
    "~", "=", "null: 1\n", "true: 1\n", "[1]: 2\n", "{a: 1}: 2\n",
]  # fmt: skip


def sources() -> tuple[list[str], list[str], list[str]]:
    """Return (sweep files, recipes, overrides): the project's own."""
    recipes = [recipe_text(name) for name in recipe_names()]
    overrides = sorted({
        write_override(key, value) for text in recipes for key, value in flatten(yaml.safe_load(text)).items()
    })  # fmt: skip
    return [path.read_text() for path in sorted((ROOT / "sweeps").glob("*.yaml"))], recipes, overrides


def case(seed: int, made: tuple[list[str], list[str], list[str]], folder: Path) -> tuple[str, Callable[[], object]]:
    """Return (what is tried, as text; a function that tries it)."""
    draw = random.Random(seed)
    sweeps, recipes, overrides = made
    words = [_spoil_word(draw.choice(overrides), draw) for _ in range(draw.randint(0, 3))]
    kind = draw.choice(["sweep", "sweep", "config", "overrides"])
    if kind == "overrides":
        words = words or [_spoil_word(draw.choice(overrides), draw)]
        return repr(words), lambda: load_config(words, complete=complete_parts)
    text = _spoil(draw.choice(sweeps if kind == "sweep" else recipes), draw)
    path = folder / f"{seed}.yaml"
    path.write_bytes(text.encode("utf-8", errors="surrogatepass"))
    shown = f"{kind} {words!r}\n{text[:4000]}"
    if kind == "config":
        return shown, lambda: load_config(words, file=path, complete=complete_parts)
    given = words if draw.random() < 0.2 else []
    return shown, lambda: check(with_overrides(read_sweep(path), given))


def _spoil(text: str, draw: random.Random) -> str:
    if draw.random() < 0.6:
        tree = yaml.safe_load(text)
        for _ in range(draw.randint(1, 3)):
            _spoil_tree(tree, draw)
        text = yaml.safe_dump(tree, allow_unicode=True)
    if draw.random() < 0.5:
        for _ in range(draw.randint(1, 3)):
            at, length = draw.randrange(len(text) + 1), draw.choice([0, 0, 1, 5, 40])
            text = text[:at] + draw.choice([*SCRAPS, ""]) + text[at + length :]
    return text


def _spoil_tree(tree: Any, draw: random.Random) -> None:
    """Change, remove, add or rename one thing, at any depth."""
    places = list(_containers(tree))
    here = draw.choice(places) if places else tree
    odd = copy.deepcopy(draw.choice(ODD))  # which may be changed in its turn
    if isinstance(here, list):
        if here and draw.random() < 0.7:
            here[draw.randrange(len(here))] = odd
        else:
            here.append(odd)
    elif isinstance(here, dict):
        key = draw.choice(
            [
                *map(str, here),
                *["value", "values", "min", "max", "distribution", "q", "parameters", "name", "eta", "s", "lr", "seed"],
            ]
        )
        match draw.randint(0, 3):
            case 0:
                here.pop(key, None)
            case 1:
                here[draw.choice([key[1:], key + "x", key.upper(), "", "a.b", "é"])] = here.pop(key, odd)
            case _:
                here[key] = odd


def _containers(tree: Any) -> list[Any]:
    inner = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    own = [tree] if isinstance(tree, dict | list) else []
    return own + [each for value in inner for each in _containers(value)]


def _spoil_word(word: str, draw: random.Random) -> str:
    key, _, value = word.partition("=")
    match draw.randint(0, 5):
        case 0:
            return word
        case 1:
            odd = draw.choice(ODD)
            return f"{key}={odd if isinstance(odd, str) else json.dumps(odd)}"
        case 2:
            return f"{key}={draw.choice(SCRAPS)}"
        case 3:
            return draw.choice(
                [key, f"={value}", f"{key}x={value}", f"{key}.x={value}", f"--{word}", f"{key[2:]}={value}"]
            )
        case 4:
            return f"{key}={draw.choice(['(' * 300, '[' * 5000, '9' * 5000, '{' * 99, 'nan', '-inf', '1e999', '1_0'])}"
        case _:
            at = draw.randrange(len(word) + 1)
            return word[:at] + draw.choice(SCRAPS) + word[at + 1 :]


def outcome(attempt: Callable[[], object]) -> str:
    """Return `ok`, `refused`, or what is wrong with how it ended."""
    start = time.perf_counter()
    signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(2 * SECONDS)
    try:
        attempt()
        said = "ok"
    except UserError as error:
        long = [line for line in error.problems if len(line) > LONGEST_LINE or "\n" in line]
        said = f"a line of {len(long[0])} characters: {long[0][:300]!r}" if long else "refused"
    except BaseException as error:  # a traceback is what is looked for
        if isinstance(error, KeyboardInterrupt):
            raise
        said = f"{type(error).__name__}: {error}"[:500]
    finally:
        signal.alarm(0)
    spent = time.perf_counter() - start
    return f"{spent:.0f} s ({said})" if spent > SECONDS else said


def _too_long(*_: object) -> None:
    raise TimeoutError


def tried(first: int, count: int) -> dict[str, Any]:
    """Try cases by number. Return counts, the slowest in seconds, the largest memory in MB, and what is wrong."""
    load_config(complete=complete_parts)  # what is imported once is no case's time
    made, found = sources(), {"ok": 0, "refused": 0, "slowest": 0.0, "wrong": []}
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(first, first + count):
            shown, attempt = case(seed, made, Path(folder))
            start = time.perf_counter()
            said = outcome(attempt)
            found["slowest"] = max(found["slowest"], time.perf_counter() - start)
            if said in found:
                found[said] += 1
            else:
                found["wrong"].append([seed, said, shown])
    return found | {"megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}


if __name__ == "__main__":
    print(json.dumps(tried(int(sys.argv[1]), int(sys.argv[2]))))
