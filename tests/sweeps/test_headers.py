"""The sentences above a sweep say what it runs: each statement about a setting is held against the resolved points.

A statement is of all points that have its key. A sentence that begins `With NAME and NAME,` is of the points with these
names. A number that no pattern here reads fails, so that a new statement gets a check.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from shipped_sweeps import FILES, FOLDER, points, sweep_of
from torch import nn

from models.layers import activation
from trainer.sweep.points import points_of, sample

Point = Mapping[str, Any]
Check = Callable[[re.Match[str], Point], bool | None]  # None: the point has no such key

_WORDS = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "ten": 10}


def number(text: str) -> float:
    return float(_WORDS.get(text, text.rstrip(".").replace(",", "")))


def is_(key: str) -> Check:
    """The number or the word that was found is the value of a key."""

    def check(found: re.Match[str], point: Point) -> bool | None:
        if key not in point:
            return None
        value = point[key]
        return value == (number(found[1]) if isinstance(value, int | float) else found[1])

    return check


def has(**values: Any) -> Check:
    """The words that were found mean these values. A key is written with two underscores for a point."""
    keys = {key.replace("__", "."): value for key, value in values.items()}
    return lambda _, point: (
        all(point[key] == value for key, value in keys.items()) if keys.keys() <= point.keys() else None
    )


def reached(found: re.Match[str], point: Point) -> bool:
    return number(found[1]) <= point["train.epochs"]


def lowest_rate(found: re.Match[str], point: Point) -> bool | None:
    factor = point.get("schedule.min_factor")
    return None if factor is None else factor * point["optimizer.lr"] == pytest.approx(number(found[1]))


def cycle(found: re.Match[str], point: Point) -> bool | None:
    up, down = point.get("schedule.up_epochs"), point.get("schedule.down_epochs")
    return None if up is None else number(found[1]) == up + (up if down is None else down)


def knots_end(found: re.Match[str], point: Point) -> bool | None:
    return point["schedule.epochs"][-1] == number(found[1]) if "schedule.epochs" in point else None


def sgds_own(found: re.Match[str], point: Point) -> bool | None:
    if point["optimizer.name"] != "sgd":
        return None
    return (point["optimizer.lr"], point["optimizer.momentum"]) == (number(found[1]), number(found[2]))


def on(key: str) -> Check:
    """The number that was found is the value of a key at the points where it is not 0, and there is such a point."""
    return lambda found, point: point[key] == number(found[1]) if point.get(key) else None


def trained_on(found: re.Match[str], point: Point) -> bool:
    return 50_000 * (1 - point["data.val_fraction"]) == number(found[1])


def rate(found: re.Match[str], point: Point) -> bool:
    return point["optimizer.lr"] == number(found[1])


def slope(found: re.Match[str], point: Point) -> bool:
    layer = activation("leaky_relu")
    return isinstance(layer, nn.LeakyReLU) and layer.negative_slope == number(found[1])


PLAIN = {"optimizer__momentum": 0.0, "augment__crop__padding": 0, "augment__flip__mode": "none"}
CLAIMS: Sequence[tuple[str, Check]] = [
    (r"[Bb]atch (\d+)", is_("train.batch_size")),
    (r"momentum (\d\S*\d)", is_("optimizer.momentum")),
    (r"crop of (\d+)", is_("augment.crop.padding")),
    (r"crop and flip", has(augment__crop__padding=4, augment__flip__mode="random")),
    (r"constant rate", has(schedule__name="constant")),
    (r"(?:take|kernels,) Adam", has(optimizer__name="adam")),
    (r"Adam (\d\S+\d)", is_("optimizer.lr")),
    (r"(?<!at )(?<!every )(?<!than )\b(\d+|ten) epochs", is_("train.epochs")),
    (r"the end at (\d+) epochs", is_("train.epochs")),
    (r"figures at (\d+) epochs", reached),
    (r"figure at epoch (\d+)", reached),
    (r"epoch \d+ or (\d+)", reached),
    (r"ends at epoch (\d+)", knots_end),
    (r"dropout (?:is )?(\d\.\d+)", is_("model.dropout")),
    (r"[Dd]ropout[^.;]*[.;] ours is none", has(model__dropout=0.0)),
    (r"with BatchNorm is not printed; (\d\.\d)", on("model.dropout")),
    (r"l1 (\S+\d),", on("loss.l1")),
    (r"l2 (\S+\d),", on("loss.l2")),
    (r"smoothing (\S+\d),", on("loss.label_smoothing")),
    (r"gamma (\d+)", is_("loss.gamma")),
    (r"reference_lr (\d\.\d)", is_("probe.walk.reference_lr")),
    (r"bn_landscape at (\d\.\d)", is_("probe.walk.reference_lr")),
    (r"drift\.every=(\d+)", is_("probe.drift.every")),
    (r"walk costs (\d+)", is_("probe.walk.points")),
    (r"taken every (\d+)", is_("probe.walk.every")),
    (r"at (\d+) steps of the run", is_("probe.features.log_spaced")),
    (r"at (\d+) steps of the run", is_("probe.shift.log_spaced")),
    (r"in float32", has(train__precision="float32")),
    (r"[Aa] tenth of the training images", has(data__val_fraction=0.1)),
    (r"(\d\d,000) images are trained on, not 50,000", trained_on),
    (r"up to (\w+) past the best", is_("train.early_stop.patience")),
    (r"[Aa]ll at (\d\.\d+)", rate),
    (r"the peak is (\d\.\d+)", rate),
    (r"a cycle (\w+) epochs", cycle),
    (r"a tenth every (\d+) epochs", is_("schedule.every_epochs")),
    (r"a tenth every", has(schedule__gamma=0.1)),
    (r"lowest rate (?:here )?is (\S+\d)", lowest_rate),
    (r"ours is torch's, (\d\.\d+)", slope),
    (r"we take none, as Santurkar", has(**PLAIN)),
    (r"plateau watches the training loss", has(schedule__monitor="auto", data__val_fraction=0.0)),
    (r"take logits", has(loss__scores="logits")),
    (r"SGD's rate and momentum are printed, (\d\.\d+) and (\d\.\d+)", sgds_own),
    (r"here Nesterov's", lambda _, point: True if point.get("optimizer.nesterov") else None),
]
NO_SETTINGS = (
    r"table 6 prints 1e-6",
    r"(?:table|section|bonus) \d[\d.]*",
    r"tables? \d+'s",
    r"et al\. \d{4}",
    r"those at rate 0\.1",
    r"(?:to either side of|of bn_landscape at) (?:its )?0\.1",
    r"every 30 steps|30 (?:iterations|steps) apart|`--gap 30`|its 30 steps",
    r"epochs 2, 4 and 8",  # held below
    r"(?:public code|report) (?:has|halves|takes) [^.;]*",  # of others, not of these runs
)
"""Numbers that say nothing about a setting of the points."""


def prose(path: Path) -> str:
    """The free sentences of a header: all after the line `#`."""
    lines = path.read_text(encoding="utf-8").splitlines()
    comment = lines[: next(place for place, line in enumerate(lines) if not line.startswith("#"))]
    starts = [place for place, line in enumerate(comment) if line.startswith("# Here:")]
    return " ".join(line.removeprefix("#").strip() for line in comment[starts[0] + 1 :]).strip()


def named_points(path: Path) -> list[tuple[set[str], Point]]:
    """Each point with the names that it was asked by, such as its recipe and its network."""
    sweep = sweep_of(path)
    grid = points_of(sweep) if sweep.file.method == "grid" else sample(sweep, 1)
    first = grid[0].values["seed"]
    asked = [{str(value) for value in point.values.values()} for point in grid if point.values["seed"] == first]
    return list(zip(asked, points(path), strict=True))


def wrong(path: Path) -> list[str]:
    """The statements of a header that a point contradicts, or that no point bears out."""
    found: list[str] = []
    for sentence in re.split(r"(?<=[.?]) (?=[A-Z`])", prose(path)):
        scope = re.match(r"With ([\w ,]+?), ", sentence)
        names = set(re.split(r", | and ", scope[1])) if scope else set()
        of = [point for asked, point in named_points(path) if not names or names & asked]
        for pattern, check in CLAIMS:
            for match in re.finditer(pattern, without_others(sentence)):
                results = [check(match, point) for point in of]
                said = [result for result in results if result is not None]
                if not said or not all(said):
                    found.append(f"{match[0]}: {sentence}")
    return found


def without_others(text: str) -> str:
    """A text without what it says of others, the same length."""
    for pattern in NO_SETTINGS:
        text = re.sub(pattern, lambda match: " " * len(match[0]), text)
    return text


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_statement_of_a_header_holds_at_the_resolved_points(path: Path) -> None:
    assert not wrong(path)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_number_of_a_header_goes_unread(path: Path) -> None:
    text = without_others(prose(path))
    read = {place for pattern, _ in CLAIMS for match in re.finditer(pattern, text) for place in range(*match.span())}
    numbers = re.finditer(r"(?<![\w.`_-])\d[\d.,e-]*", text)
    assert not [match[0] for match in numbers if match.start() not in read], text


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_header_that_names_a_recipe_starts_from_it(path: Path) -> None:
    sweep = sweep_of(path)
    asked = {str(value) for point in points_of(sweep)[:1] for value in point.values.values()}
    if sweep.file.method == "grid":
        asked = {str(value) for point in points_of(sweep) for value in point.values.values()}
    for name in re.findall(r"\(recipe (\w+)\)", prose(path)):
        assert name in asked


@pytest.mark.parametrize(
    "sentence",
    [
        "The dropout of the WideResNets is not printed; ours is none.",
        "With wide_resnet28x10, dropout is 0.5.",
        "Batch 64 is our reading.",
        "All runs have 25 epochs.",
    ],
)
def test_a_wrong_statement_is_found(sentence: str, tmp_path: Path) -> None:
    models, changed = FOLDER / "models.yaml", tmp_path / "models.yaml"
    changed.write_text(models.read_text().replace("project:", f"# {sentence}\nproject:", 1))
    assert wrong(changed)


def test_each_sweep_with_a_plateau_says_what_it_watches() -> None:
    watching = [path for path in FILES if any(point["schedule.name"] == "reduce_on_plateau" for point in points(path))]
    assert len(watching) == 7
    assert all("plateau watches the training loss" in prose(path) for path in watching)


def test_hyperband_stops_at_the_epochs_that_the_headers_say() -> None:
    for path in FILES:
        if "epochs 2, 4 and 8" in prose(path):
            stop = sweep_of(path).file.early_terminate
            assert stop and stop.min_iter and [stop.min_iter * stop.eta**rung for rung in range(3)] == [2, 4, 8]
