"""`trainer sweep plan`: the cost of a sweep, and what it can tell by the tests that its page will make."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

from trainer.errors import SweepError
from trainer.panels.panel import Row
from trainer.panels.registry import panel
from trainer.panels.rows_plan import of_noise
from trainer.report.asked import Measured, asked_of
from trainer.report.table import Table
from trainer.runs.families import Arm, families_of, in_words
from trainer.runs.groups import SEED
from trainer.runs.outcomes import Outcome, read_outcome
from trainer.statistics.planned import Test, seeds_for, smallest_difference
from trainer.statistics.seedwise import LARGEST, factor
from trainer.statistics.table import noise_floor
from trainer.sweep.cost import Cost, duration
from trainer.sweep.file import Sweep
from trainer.sweep.points import Point
from trainer.text import duration_text, table

SEEDS = (2, 3, 5, 10, 20)  # of each configuration, in the table
_TESTS = {"best": "the best one leads {} by", "control": "one differs from {} by", "pairs": "one differs from {} by"}


@dataclass(frozen=True)
class Comparison:
    """Comparison that the page of a grid will make, and its test."""

    outcome: Outcome
    test: Test
    others: int  # configurations without the best one, or the control; of the largest family of a choice
    control: str  # or ""
    ratio: bool  # differences are of logarithms
    asked: bool  # by the file's `# Outcome:`; else it is the metric
    words: str = ""  # of a control that is a choice of some keys

    @property
    def against(self) -> str:
        return self.words or self.control or ("the other" if self.others == 1 else f"the {self.others} others")

    def shown(self, difference: float | None) -> str:
        """Return a difference on the scale of the test as a user reads it."""
        if difference is None:
            return "no verdict"
        if self.ratio:
            return f"{factor(difference)} times" if difference <= LARGEST else factor(difference)
        return f"{difference:.2f} points" if self.outcome.percent else f"{difference:.4g} {self.outcome.unit}".rstrip()

    def read(self, difference: float) -> float:
        """Return a difference that a user has typed, on the scale of the test. Raises SweepError if it is none."""
        if not (math.isfinite(difference) and difference > 0) or (self.ratio and difference == 1):
            example = "a ratio that is not 1, such as 1.2" if self.ratio else "a number above 0, such as 0.5"
            raise SweepError(f"--difference: {difference:g}: expected {example}")
        return abs(math.log(difference)) if self.ratio else difference


@dataclass(frozen=True)
class Noise:
    """Standard deviation from seed to seed on the scale of the test: of a run, or of a pair's difference."""

    std: float
    low: float  # 95 % interval
    high: float
    source: str


def comparison_of(sweep: Sweep, points: Sequence[Point]) -> Comparison | None:
    """Return what the page will compare, None for a search. A single configuration is planned as one of two.

    Raises UserError if the metric is none that the trainer logs.
    """
    if sweep.file.method != "grid":
        return None
    asked = sweep.header.outcome
    outcome = asked or read_outcome(sweep.file.metric.name if sweep.file.metric else "test/accuracy")
    keys = [key for key in sweep.varied if key != SEED and not (asked and key == asked.over)]
    arms = [*{(arm := _arm(point, keys)).label: arm for point in points}.values()]
    families = families_of(sweep.header.control, arms) if sweep.header.control else []
    control, words = (sweep.header.control, in_words(sweep.header.control, arms)) if families else ("", "")
    others = max(1, max(len(each.members) for each in families) - 1 if families else len(arms) - 1)
    in_pairs = asked and outcome.seedwise and (control or others == 1)
    test: Test = "pairs" if in_pairs else "control" if control else "best"
    ratio = bool(asked) and outcome.scale == "ratio"
    return Comparison(outcome, test, others, control, ratio, asked is not None, "" if words == control else words)


def _arm(point: Point, keys: list[str]) -> Arm:
    return Arm(point.label(keys), {key: point.values[key] for key in keys if key in point.values})


def as_measured(comparison: Comparison, runs: Table) -> Comparison:
    """Return the comparison on the scale that these runs allow: differences where not all values have a ratio."""
    return replace(comparison, ratio=comparison.ratio and _told(comparison, runs).scale == "ratio")


def noise_of(comparison: Comparison, runs: Table, source: str) -> Noise | None:
    """Return the noise of what is compared, measured by the runs of a table. None if they have no two seeds of one.

    It is on the scale of `as_measured`. The noise of a pair is that of the table's own pairs, or else what independent
    runs have.
    """
    told = _told(comparison, runs)
    floor = noise_floor(told.scaled if comparison.asked else told.samples)
    if floor is None or not floor.largest:
        return None
    by_differences = comparison.asked and told.scale != comparison.outcome.scale
    how = ", by differences, since not all values have a ratio" if by_differences else ""
    if not floor.equal:  # the page takes it in this case, too
        std, low, high, source = (
            floor.largest,
            floor.largest,
            floor.largest,
            f"{source}: the largest, spreads differ{how}",
        )
    else:
        std, low, high, source = floor.std, floor.low, floor.high, f"{source}: {floor.df} degrees of freedom{how}"
    if comparison.test == "pairs":
        pairs = [(each.std, each.n - 1) for each in told.contrasts.values() if each.paired and each.std]
        df = sum(each for _, each in pairs)
        pair = math.sqrt(sum(each * s**2 for s, each in pairs) / df) if df else math.sqrt(2) * std
        std, low, high = pair, low * pair / std, high * pair / std
    return Noise(std, low, high, source)


def _told(comparison: Comparison, runs: Table) -> Measured:
    """Return what the runs of a table have of what is compared."""
    outcome = comparison.outcome
    if comparison.asked and (found := asked_of(outcome, runs.configurations, control=comparison.control, highest=True)):
        return found  # the page's pairs are with the control
    return Measured(outcome, {each.label: each.sample(outcome.name) for each in runs.configurations})


@dataclass(frozen=True)
class Power:
    """Differences that seeds of a sweep can show."""

    asked: Comparison
    noise: Noise | None
    wanted: float | None = None  # difference on the scale of the test, if the noise is known

    def smallest(self, seeds: int) -> float | None:
        """Return the smallest difference that so many seeds find, in standard deviations where no noise is known."""
        std = self.noise.std if self.noise else 1.0
        return smallest_difference(self.asked.test, std, seeds, others=self.asked.others)

    def shown(self, seeds: int) -> str:
        found = self.smallest(seeds)
        return f"{found:.2f}" if self.noise is None and found is not None else self.asked.shown(found)

    @cached_property
    def needed(self) -> int | None:
        """Return the seeds that the wanted difference needs, None for more than 10,000."""
        if self.noise is None or self.wanted is None:
            return None
        return seeds_for(self.asked.test, self.noise.std, self.wanted, others=self.asked.others)

    @property
    def unit(self) -> str:
        if self.noise is None:
            return "standard deviations"
        if self.asked.ratio:
            return "logarithms of ratios"
        return "points" if self.asked.outcome.percent else self.asked.outcome.unit or self.asked.outcome.name

    @property
    def noise_text(self) -> str:
        what = "a pair's difference" if self.asked.test == "pairs" else "a seed"
        if (noise := self.noise) is None:
            return f"not known, so differences are in standard deviations of {what}"
        percent = self.asked.outcome.percent
        std, low, high = (f"{value:.2f}" if percent else f"{value:.3g}" for value in (noise.std, noise.low, noise.high))
        unit = " in logarithms" if self.asked.ratio else " points" if percent else ""
        interval = "" if low == high else f", 95% interval {low} to {high}"
        return f"standard deviation of {what} {std}{unit}{interval} ({noise.source})"


@dataclass(frozen=True)
class Forecast:
    """A sweep before it runs."""

    sweep: Sweep
    costs: tuple[Cost, ...]
    points: int  # of the file, done or not
    slots: tuple[str, ...]  # the device of each run at once
    power: Power | None  # None for a search

    @cached_property
    def seconds(self) -> float:
        """Return the time that what is left takes, a seed of each configuration before the next."""
        most = max((cost.runs for cost in self.costs), default=0)
        return duration([c.seconds for n in range(most) for c in self.costs if n < c.runs], self.slots)

    @property
    def left(self) -> int:
        return sum(cost.runs for cost in self.costs)

    @property
    def epochs(self) -> float:
        return sum(cost.runs * cost.epochs for cost in self.costs)

    def seconds_of(self, seeds: int) -> float:
        """Return the time that so many seeds of each configuration take."""
        return duration([cost.seconds for _ in range(seeds) for cost in self.costs], self.slots)

    def as_json(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "file": str(self.sweep.path),
            "points": self.points,
            "left": self.left,
            "epochs": self.epochs,
            "seconds": self.seconds,
            "at_once": list(self.slots),
            "configurations": [asdict(cost) for cost in self.costs],
        }
        if (power := self.power) is None:
            return found
        found["compares"] = {**asdict(power.asked), "outcome": power.asked.outcome.name}
        found["noise"] = power.noise and asdict(power.noise)
        found["unit"] = power.unit
        rows = [{"seeds": n, "runs": n * len(self.costs), "seconds": self.seconds_of(n)} for n in SEEDS]
        found["seeds"] = [{**row, "smallest_difference": power.smallest(n)} for n, row in zip(SEEDS, rows, strict=True)]
        if power.wanted is not None:
            seconds = power.needed and self.seconds_of(power.needed)
            found["wanted"] = {"difference": power.wanted, "seeds": power.needed, "seconds": seconds}
        return found

    def as_text(self) -> str:
        return "\n\n".join([self._cost_text(), *([self._power_text(self.power)] if self.power else [])])

    def _cost_text(self) -> str:
        kinds = list(dict.fromkeys(self.slots))
        on = {kind: "" if len(kinds) == 1 else f" on {kind}" for kind in kinds}
        header = ("", "runs", "epochs", *(f"a run{on[kind]}" for kind in kinds))
        rows = [
            (c.label or "all", str(c.runs), f"{c.epochs:g}", *(duration_text(c.seconds[kind]) for kind in kinds))
            for c in self.costs
        ]
        done = f", {self.points - self.left} of them done" if self.left < self.points else ""
        at_once = "one at a time" if len(self.slots) == 1 else f"{len(self.slots)} at once"
        place = "this machine" if kinds == ["auto"] else " and ".join(kinds)
        return "\n".join([
            f"{self.sweep.path}: {self.points} points{done}",
            table([header, *rows], right=range(1, len(header))),
            f"{self.left} runs with {self.epochs:,.12g} epochs take about {duration_text(self.seconds)} on {place}, "
            f"{at_once}",
        ])  # fmt: skip

    def _power_text(self, power: Power) -> str:
        asked, count = power.asked, len(self.costs)
        header = ("seeds", "runs", "time", f"found with 80% power if {_TESTS[asked.test].format(asked.against)}")
        rows = [(str(n), str(n * count), duration_text(self.seconds_of(n)), power.shown(n)) for n in SEEDS]
        lines = [f"{asked.outcome.words}; noise: {power.noise_text}", table([header, *rows], right=range(3))]
        if power.wanted is not None:
            cost = "more than 10,000 seeds of each configuration"
            if n := power.needed:
                cost = f"{n} seeds of each configuration: {n * count} runs, {duration_text(self.seconds_of(n))}"
            lines.append(f"A difference of {asked.shown(power.wanted)} takes {cost}")
        return "\n".join(lines)


def chart_of(powers: Mapping[str, Power]) -> dict[str, Any]:
    """Return the chart of the smallest differences, by name. Raises SweepError for nothing, and for several units."""
    if not powers:
        raise SweepError("--to: a search compares no configurations, so there is nothing to draw")
    units = {each.unit for each in powers.values()}
    if len(units) > 1:
        raise SweepError(f"--to: these sweeps have differences in {' and in '.join(sorted(units))}; draw one at a time")
    rows: list[Row] = []
    for name, each in powers.items():
        noise, asked = each.noise or Noise(1.0, 1.0, 1.0, ""), each.asked
        group = f"{name}: {asked.outcome.words}, {asked.others + 1} configurations"
        rows += of_noise(group, asked.test, noise.std, noise.low, noise.high, others=asked.others, wanted=each.wanted)
    about = f"In {units.pop()}, found in 80% of sweeps."
    if any(each.wanted for each in powers.values()):
        about += " Dashed: the difference that is wanted."
    noises = dict.fromkeys(each.noise_text for each in powers.values())
    return panel("smallest_difference").chart(rows, subtitle=[about, f"Noise: {'; '.join(noises)}."])
