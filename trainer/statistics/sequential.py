"""Seeds until decided: a test that may look after every seed, and errs as often as one that looks once.

The design is group-sequential (Jennison and Turnbull 2000). A look is made when every configuration that is still in
question has one more seed. Each pair has Welch's p-value, as a z-value, and the boundary that spends its share of the
error over all looks in proportion to the seeds (Lan and DeMets 1983, Kim and DeMets 1987 with exponent 1). The shares
are Holm's: as soon as a pair is decided, its share goes to the others (Maurer and Bretz 2013). A pair is equivalent if
both one-sided tests say that it differs by less than the margin (Schuirmann 1987), with the same boundaries.

docs/simulations.md has the error and the seeds that simulations of this design measured, and those of other designs.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

Question = Literal["best", "all-pairs", "against"]
"""best: which configuration is it? all-pairs: which pairs differ? against: which configurations differ from their
control?"""
Verdict = Literal["different", "equivalent", "open"]

OPEN, EQUIVALENT = 0, 2  # of a pair in `Course.verdicts`; 1 and -1: the first is higher, lower
_SPENT = 0.7
"""Share of the error that the boundaries spend. They are those of normal means with a known spread. With few seeds and
unequal spreads Welch's test errs more often, which simulations measured and this makes up for (docs/simulations.md)."""
_MOST_SEEDS = 1000
_NODES = 201  # of an integral over the values of a statistic between its boundaries

Numbers = NDArray[np.float64]
Codes = NDArray[np.int8]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Design:
    """A question, and how often it may be looked at. Raises ValueError for a design that cannot decide."""

    question: Question = "best"
    control: str = ""  # of `against`: what the others are compared with, in words
    against: tuple[tuple[int, int], ...] = ()  # of `against`: the pairs, as places of configurations in their order
    at_least: int = 3  # seeds of each configuration before the first look
    at_most: int = 10  # seeds of each configuration
    margin: float | None = None  # difference that does not matter; None: nothing is called equivalent
    highest: bool = True  # is best
    level: float = 0.05  # probability that any pair is called different wrongly, and of any wrong equivalence

    def __post_init__(self) -> None:
        if self.question == "against" and not self.against:
            raise ValueError(f"--question: nothing is compared with {self.control or 'a control'}")
        if self.at_least < 2:
            raise ValueError(f"--at-least: {self.at_least}: a spread needs two seeds; use 2 or more")
        if self.at_most < self.at_least:
            raise ValueError(f"--at-most: {self.at_most} is under --at-least {self.at_least}")
        if self.at_most > _MOST_SEEDS:
            raise ValueError(f"--at-most: {self.at_most}: expected {_MOST_SEEDS} seeds or fewer")
        if self.margin is not None and not 0 < self.margin < math.inf:
            raise ValueError(f"--margin: {self.margin:g}: expected a difference above 0")

    @property
    def looks(self) -> tuple[int, ...]:
        """Return the number of seeds at each look."""
        return tuple(range(self.at_least, self.at_most + 1))

    def pairs(self, count: int) -> list[tuple[int, int]]:
        """Return the pairs of `count` configurations that are tested."""
        return [*self.against] if self.question == "against" else [*combinations(range(count), 2)]


@dataclass(frozen=True)
class Course:
    """The course of R sweeps of K configurations with P pairs, up to a look."""

    verdicts: Codes  # [R, P]
    decided_at: NDArray[np.int64]  # [R, P] seeds at which a pair was decided, 0 where it is open
    active: Mask  # [R, K] configurations that get another seed
    seeds: NDArray[np.int64]  # [R, K] of each configuration that were looked at

    @property
    def done(self) -> Mask:
        """Return whether no configuration is in question: [R]."""
        return np.logical_not(self.active.any(axis=1))


def follow(values: Numbers, design: Design, *, spent: Sequence[int] = ()) -> Course:
    """Return the course of sweeps whose outcomes are known: `values` [R, K, N], in the order of the seeds.

    Looks are taken up to N seeds, or as many as the design has, or until a configuration that is in question has no
    outcome yet (NaN). The configurations at the places `spent` get no further seed: they are out of question when they
    have no outcome for a look, and their pairs stay open. Decisions at a look depend on no later seed, so a sweep
    that goes on, or one that is done again, decides the same.
    """
    runs, count, known = values.shape
    pairs = design.pairs(count)
    first, second = (np.array([pair[side] for pair in pairs], dtype=int) for side in (0, 1))
    verdicts = np.zeros((runs, len(pairs)), np.int8)
    decided_at = np.zeros((runs, len(pairs)), np.int64)
    active = np.ones((runs, count), np.bool_)
    seeds = np.zeros((runs, count), np.int64)
    for look, n in enumerate(design.looks):
        if n > known:
            break
        missing = np.isnan(values[:, :, n - 1])
        active[:, list(spent)] &= ~missing[:, list(spent)]
        active = _still_active(verdicts, active, first, second, design)
        if not active.any() or missing[active].any():
            break
        seeds[active] = n
        tested = active[:, first] & active[:, second] & (verdicts == OPEN)
        estimate, error, df = _welch(values[:, first, :n], values[:, second, :n])
        score = _z(estimate, error, df)
        new = _holm(np.abs(score), tested, verdicts, np.isin(verdicts, (1, -1)), look, design)
        verdicts[new] = np.sign(estimate[new]).astype(np.int8)
        decided_at[new] = n
        if design.margin is not None:
            inside = np.minimum(_z(estimate + design.margin, error, df), _z(design.margin - estimate, error, df))
            same = _holm(
                inside, tested & (verdicts == OPEN), verdicts, verdicts == EQUIVALENT, look, design, one_sided=True
            )
            verdicts[same], decided_at[same] = EQUIVALENT, n
        active = _still_active(verdicts, active, first, second, design)
        if n == design.at_most:
            active = np.zeros_like(active)
    return Course(verdicts, decided_at, active, seeds)


def _still_active(verdicts: Codes, active: Mask, first: NDArray[np.int_], second: NDArray[np.int_], d: Design) -> Mask:
    """Return which configurations [R, K] are in question: of a pair that is open and not beaten."""
    beaten = np.zeros_like(active)
    if d.question == "best":
        for pair, (a, b) in enumerate(zip(first, second, strict=True)):
            beaten[:, b] |= verdicts[:, pair] == (1 if d.highest else -1)
            beaten[:, a] |= verdicts[:, pair] == (-1 if d.highest else 1)
    left = np.zeros_like(active)
    for pair, (a, b) in enumerate(zip(first, second, strict=True)):
        is_open = (verdicts[:, pair] == OPEN) & ~beaten[:, a] & ~beaten[:, b] & active[:, a] & active[:, b]
        left[:, a] |= is_open
        left[:, b] |= is_open
    return left & active


def _holm(
    score: Numbers, tested: Mask, verdicts: Codes, decided: Mask, look: int, design: Design, *, one_sided: bool = False
) -> Mask:
    """Return which pairs [R, P] cross their boundary, by Holm's shares: those of decided pairs go to the others."""
    count = verdicts.shape[1]
    crossed = np.zeros_like(tested)
    while True:
        left = np.maximum(1, count - (decided | crossed).sum(axis=1))
        bounds = np.array(
            [boundary(_SPENT * design.level / m, design.looks, one_sided)[look] for m in range(1, count + 1)]
        )
        new = tested & ~crossed & (score >= bounds[left - 1][:, None])
        if not new.any():
            return crossed
        crossed |= new


def _welch(a: Numbers, b: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    """Return (difference of the means, its standard error, degrees of freedom) of samples [..., n]."""
    n = a.shape[-1]
    shares = _variance(a) / n, _variance(b) / n
    error = shares[0] + shares[1]
    with np.errstate(invalid="ignore", divide="ignore"):
        df = (n - 1) * error**2 / (shares[0] ** 2 + shares[1] ** 2)
    return a.mean(axis=-1) - b.mean(axis=-1), np.sqrt(error), df


def _variance(values: Numbers) -> Numbers:
    """Return the sample variance of samples [..., n], exactly 0 for equal values, as `describe.std_of` does."""
    return np.where(np.ptp(values, axis=-1) == 0, 0.0, values.var(axis=-1, ddof=1))


def _z(estimate: Numbers, error: Numbers, df: Numbers) -> Numbers:
    """Return the z-value with the p-value of Student's t. 0 if neither sample varies: that says nothing about noise."""
    with np.errstate(invalid="ignore", divide="ignore"):
        t = estimate / error
        tail = special.stdtr(df, -np.abs(t))
        z = -special.ndtri(tail) * np.sign(t)
    return np.where(error > 0, z, 0.0)


def _excess(z: float, places: Numbers, weights: Numbers, step: float, share: float, new: float) -> float:
    """Return how much more than `new` a look with boundary z would spend, of paths at `places` before it."""
    edge = z * np.sqrt(share)
    tails = special.ndtr((places - edge) / step) + special.ndtr((-edge - places) / step)
    return float(weights @ tails) - new


@cache
def boundary(level: float, looks: tuple[int, ...], one_sided: bool = False) -> tuple[float, ...]:
    """Return the z-value at each look beyond which a test rejects, with error `level` over all looks together.

    The statistic is that of normal means over `looks` seeds, so sums over seeds are a random walk. The error spent by a
    look is `level` times its share of the seeds. Each value solves one integral over the paths that have not crossed
    before (Armitage, McPherson and Rowe 1969).
    """
    sides = 2 * level if one_sided else level  # a one-sided boundary is half of a two-sided one of twice the level
    total, spent = looks[-1], 0.0
    found: list[float] = []
    places: Numbers = np.zeros(1)
    weights: Numbers = np.ones(1)  # of the paths that are at these places
    at = 0.0
    for n in looks:
        share = n / total
        step = np.sqrt(share - at)
        new = sides * share - spent
        z = optimize.root_scalar(_excess, args=(places, weights, step, share, new), bracket=(0.0, 12.0), xtol=1e-9).root
        found.append(z)
        spent += new
        nodes, quadrature = special.roots_legendre(_NODES)
        edge = z * np.sqrt(share)
        next_places = edge * nodes
        kernel = np.exp(-0.5 * ((next_places[:, None] - places[None, :]) / step) ** 2) / (step * np.sqrt(2 * np.pi))
        weights = (kernel @ weights) * quadrature * edge
        places, at = next_places, share
    return tuple(found)


@dataclass(frozen=True)
class Decision:
    """A pair of named configurations after the last look."""

    a: str
    b: str
    verdict: Verdict
    higher: str | None  # of the two, if they are different
    seeds: int  # of each at which it was decided, or that were looked at


def decide(
    samples: Mapping[str, Sequence[float]], design: Design, *, spent: Collection[str] = ()
) -> tuple[list[Decision], list[str]]:
    """Return (a decision for each pair, the configurations that need another seed).

    A sample has the outcomes of a configuration in the order of its seeds. A configuration that is out of question may
    have fewer than others, and so may those in `spent`, which get no further seed.

    Raises ValueError for fewer than two configurations.
    """
    names = list(samples)
    if len(names) < 2:
        raise ValueError("a sweep with one configuration has nothing to decide; add another value")
    most = max(map(len, samples.values()))
    values = np.full((1, len(names), most), np.nan)
    for place, sample in enumerate(samples.values()):
        values[0, place, : len(sample)] = sample
    course = follow(values, design, spent=[names.index(name) for name in spent])
    decisions = [
        Decision(
            names[a],
            names[b],
            "open" if code == OPEN else "equivalent" if code == EQUIVALENT else "different",
            names[a] if code == 1 else names[b] if code == -1 else None,
            int(at) or int(min(course.seeds[0, a], course.seeds[0, b])),
        )
        for (a, b), code, at in zip(design.pairs(len(names)), course.verdicts[0], course.decided_at[0], strict=True)
    ]
    return decisions, [name for name, active in zip(names, course.active[0], strict=True) if active]


def runs_taken(
    had: Mapping[str, Sequence[bool]], decisions: Collection[Decision], still: Collection[str], design: Design
) -> int:
    """Return how many runs the decisions took, and the next look of what is in question. Others were there already.

    `had` says of the runs of each configuration, in the order of their seeds, which had an outcome. The next seed
    replaced one that had none.
    """
    total = 0
    for name, outcomes in had.items():
        looked = max((each.seeds for each in decisions if name in (each.a, each.b)), default=0)
        needed = max(design.at_least, looked + (name in still))
        places = [place for place, has_one in enumerate(outcomes, 1) if has_one]
        total += places[needed - 1] if len(places) > needed else len(outcomes)
    return total
