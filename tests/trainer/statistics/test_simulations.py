"""What a page promises, checked by simulated sweeps: at most 5 % false answers, and the power that is printed.

`sure` judges many sweeps at once. A test holds it against `with_best`, which judges the sweep of a report. `make
test-slow` runs the whole grid and prints it: docs/simulations.md has the figures.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from best_tables import said_wrongly
from numpy.typing import NDArray
from scipy import special

from trainer.statistics.comparisons import dunnett_quantile, top_group, with_best, with_control
from trainer.statistics.describe import LEVEL
from trainer.statistics.power import (
    difference_needed,
    just_significant,
    lead_needed,
    power,
    power_if_skewed,
    seeds_needed,
)
from trainer.statistics.table import noise_floor

Array = NDArray[np.float64]
KINDS = ("normal", "left-skewed", "right-skewed")
FEW = 4000


def draw(kind: str, stds: Array, means: Array, n: int, sweeps: int, seed: int = 0) -> Array:
    """Return runs [sweeps, k, n]. Skewed ones are exponential, of skewness 2."""
    random = np.random.default_rng(seed)
    shape = (sweeps, len(stds), n)
    noise = random.normal(size=shape) if kind == "normal" else random.exponential(size=shape) - 1
    return (-noise if kind == "left-skewed" else noise) * stds[:, None] + means[:, None]


def sure(runs: Array) -> Array:
    """Return the configuration that is called the best of each sweep, -1 for none, [sweeps]."""
    n = runs.shape[-1]
    if n < 3:
        return np.full(len(runs), -1)
    means, variances = runs.mean(-1), runs.var(-1, ddof=1)
    best = means.argmax(1)
    order = np.argsort(np.arange(runs.shape[1]) != best[:, None], axis=1, kind="stable")  # the best one first
    means, variances = np.take_along_axis(means, order, 1), np.take_along_axis(variances, order, 1)
    leads = means[:, :1] - means[:, 1:]
    return np.where((leads > just_significant(variances, n)).all(1), best, -1)


def sure_and_plain(runs: Array) -> Array:
    """Return `sure`, without the sweeps that a page marks *spreads differ*: Bartlett's p is below 5 %, [sweeps]."""
    return np.where(bartlett(runs.var(-1, ddof=1), runs.shape[-1]) < LEVEL, -1, sure(runs))


def bartlett(variances: Array, n: int) -> Array:
    """Return the p of Bartlett's test of equal spreads for sample variances [sweeps, k] of n runs each."""
    k = variances.shape[-1]
    statistic = k * (n - 1) * np.log(variances.mean(-1)) - (n - 1) * np.log(variances).sum(-1)
    return special.chdtrc(k - 1, statistic / (1 + (k / (n - 1) - 1 / (k * (n - 1))) / (3 * (k - 1))))


def cases(k: int, widest: Sequence[int] = (1, 3)) -> Iterator[tuple[str, Array, Array]]:
    """Yield (name, standard deviations, means) of sweeps without a best one: all are equal, or the first two are."""
    low = np.where(np.arange(k) < 2, 0.0, -200.0)
    for wide in widest:
        for count in (1, 2) if wide > 1 and k > 2 else (1,):
            stds = np.where(np.arange(k) < count, float(wide), 1.0)
            yield f"{count} of {wide} times the spread, all equal", stds, np.zeros(k)
            if k > 2:
                yield f"{count} of {wide} times the spread, two ahead", stds, low


def allowed(sweeps: int, share: float = LEVEL) -> float:
    """Return the share and four standard errors of its count."""
    return share + 4 * math.sqrt(share * (1 - share) / sweeps)


@pytest.mark.parametrize("n", [3, 5])
def test_the_simulated_rule_is_that_of_the_report(n: int) -> None:
    for number, runs in enumerate(draw("normal", np.array([1.0, 2, 1, 1]), np.array([3.0, 0, 0, 0]), n, 60)):
        samples = {str(name): dict(enumerate(row)) for name, row in enumerate(runs.tolist())}
        top = top_group(samples, with_best(samples))
        assert sure(runs[None])[0] == (int(top[0]) if len(top) == 1 else -1), number


@pytest.mark.parametrize("kind", ["normal", "left-skewed"])
@pytest.mark.parametrize("n", [2, 3, 5, 10])
@pytest.mark.parametrize("k", [2, 3, 13])
def test_of_equal_configurations_one_is_called_best_in_at_most_five_percent(k: int, n: int, kind: str) -> None:
    for name, stds, means in cases(k, widest=(1,)):
        assert np.mean(sure(draw(kind, stds, means, n, FEW)) >= 0) <= allowed(FEW), name


@pytest.mark.parametrize("n", [3, 5])
def test_the_simulated_mark_is_that_of_the_report(n: int) -> None:
    runs = draw("normal", np.array([1.0, 4, 1]), np.zeros(3), n, 40)
    for number, p in enumerate(bartlett(runs.var(-1, ddof=1), n)):
        floor = noise_floor({str(name): dict(enumerate(row)) for name, row in enumerate(runs[number].tolist())})
        assert floor and floor.p_equal == pytest.approx(p), number


def test_unequal_spreads_are_called_plainly_sure_in_at_most_five_percent() -> None:
    """The worst case of the whole grid. Before *spreads differ* 5.8 % of the answers that were plainly sure."""
    sweeps = 60_000
    (worst,) = [each for each in cases(13, widest=(10,)) if each[0] == "1 of 10 times the spread, two ahead"]
    runs = draw("normal", *worst[1:], 3, sweeps)
    assert np.mean(sure(runs) >= 0) > allowed(sweeps) >= np.mean(sure_and_plain(runs) >= 0)


@pytest.mark.parametrize("n", [3, 5, 10])
@pytest.mark.parametrize("k", [2, 3, 13])
def test_unequal_spreads_leave_it_at_that_of_welchs_own_test(k: int, n: int) -> None:
    """Before the two tests were joined: 21 % with one pooled variance (k = 13). Welch's own is up to 6 %."""
    for name, stds, means in cases(k, widest=(3,)):
        assert np.mean(sure(draw("normal", stds, means, n, FEW)) >= 0) <= allowed(FEW, 0.06), name


@pytest.mark.parametrize(("k", "n"), [(2, 3), (3, 5), (13, 3), (13, 10)])
def test_the_truly_best_is_in_the_top_group_in_95_percent(k: int, n: int) -> None:
    """Of equal configurations the first stands for the best one."""
    runs = draw("normal", np.ones(k), np.zeros(k), n, FEW)
    means, variances = runs.mean(-1), runs.var(-1, ddof=1)
    best = means.argmax(1)
    pair = np.stack([variances[np.arange(FEW), best], variances[:, 0]], 1)
    bound = just_significant(pair, n)[:, 0]
    if k > 2:
        critical = dunnett_quantile((math.sqrt(0.5),) * (k - 1), k * (n - 1), two_sided=False)
        bound = np.maximum(bound, critical * np.sqrt(2 / n * variances.mean(1)))
    lost = means[np.arange(FEW), best] - means[:, 0] > bound
    assert np.mean(lost) <= allowed(FEW)


@pytest.mark.parametrize(("k", "n", "lead"), [(3, 5, 0.0), (6, 5, 0.0), (6, 5, 1.5), (13, 5, 0.0), (13, 10, 1.0)])
def test_what_is_said_of_the_others_is_wrong_in_at_most_five_percent(k: int, n: int, lead: float) -> None:
    """Before, each was *different* from the best in the data: wrong in 10 to 35 % of tables of equal ones.

    The first is truly best, by this lead. It is wrongly called *not the best*, or a bound does not hold.
    """
    means = np.where(np.arange(k) == 0, lead, 0.0)
    runs = draw("normal", np.ones(k), means, n, FEW, seed=4)
    lost, missed, before = said_wrongly(runs, means)
    assert lost <= allowed(FEW) and missed <= allowed(FEW)
    assert lead or before > 0.07
    for number, sweep in enumerate(runs[:30]):  # the rule above is that of a report
        found = with_best({str(name): dict(enumerate(row)) for name, row in enumerate(sweep.tolist())})
        assert {each.finding for each in found} <= {"not the best", "not significant"}
        true = {each.name: means[int(each.name)] - np.delete(means, int(each.name)).max() for each in found}
        held = all((each.low or 0) <= true[each.name] <= (each.high or 0) for each in found)
        lost, missed, _ = said_wrongly(sweep[None], means)
        assert lost == any(each.name == "0" and each.finding == "not the best" for each in found), number
        assert missed == (not held), number


@pytest.mark.parametrize("few", [(0,), (1,), (1, 3, 5), (1, 2, 3, 4, 5)])
def test_it_is_so_where_some_configurations_have_fewer_runs(few: Sequence[int]) -> None:
    """The quantile is that of comparisons with the best in the data, whose number of runs is then a chance."""
    runs = draw("normal", np.ones(6), np.zeros(6), 10, FEW, seed=6)
    runs[:, list(few), 3:] = np.nan
    lost, missed, _ = said_wrongly(runs, np.zeros(6))
    assert 0 < lost <= allowed(FEW) and missed <= allowed(FEW)
    for sweep in runs[:30]:
        samples = {str(name): dict(enumerate(row[np.isfinite(row)].tolist())) for name, row in enumerate(sweep)}
        lost, *_ = said_wrongly(sweep[None], np.zeros(6))
        assert lost == any(each.name == "0" and each.finding == "not the best" for each in with_best(samples))


@pytest.mark.parametrize(("k", "n"), [(2, 3), (2, 10), (6, 5), (13, 3), (13, 10)])
def test_the_printed_lead_is_found_with_the_printed_power(k: int, n: int) -> None:
    """Before: Student's formula promised 80 %, and the test that was used had 44 to 73 %."""
    lead = lead_needed((1.0,) * k, n)
    assert lead is not None
    means = np.where(np.arange(k) == 0, lead, 0.0)
    assert np.mean(sure(draw("normal", np.ones(k), means, n, FEW, seed=5)) == 0) == pytest.approx(0.8, abs=0.03)


@pytest.mark.parametrize(("k", "n"), [(2, 3), (6, 5), (13, 3), (13, 10)])
def test_the_printed_power_for_skewed_runs_is_theirs(k: int, n: int) -> None:
    """The lower one of both directions: of thirteen configurations with three seeds 45 %, not 80."""
    lead = lead_needed((1.0,) * k, n)
    assert lead is not None
    promised = power_if_skewed(lead, (1.0,) * k, n)
    means = np.where(np.arange(k) == 0, lead, 0.0)
    found = [np.mean(sure(draw(kind, np.ones(k), means, n, FEW, seed=6)) == 0) for kind in KINDS[1:]]
    assert min(found) == pytest.approx(promised, abs=0.03)


@pytest.mark.parametrize(("k", "n"), [(2, 3), (3, 5), (6, 3), (6, 5), (13, 3), (13, 10)])
@pytest.mark.parametrize("kind", ["normal", "right-skewed", "left-skewed"])
def test_the_printed_difference_from_a_control_is_found_with_the_printed_power(k: int, n: int, kind: str) -> None:
    """Before: a page with a control printed the power of the comparison with the best, of another test."""
    spread = (1.0,) * k
    difference = difference_needed(spread, n)
    assert difference is not None
    promised = 0.8 if kind == "normal" else power_if_skewed(difference, spread, n, from_control=True)
    means = np.where(np.arange(k) == 1, difference, 0.0)
    runs = draw(kind, np.ones(k), means, n, FEW, seed=7)
    half = just_significant(runs.var(-1, ddof=1), n, two_sided=True)
    found = np.mean(runs[:, 1].mean(-1) - runs[:, 0].mean(-1) > half[:, 0])
    assert promised is not None and found >= promised - 0.03
    assert kind != "normal" or found <= promised + 0.03


@pytest.mark.parametrize("n", [3, 5])
def test_the_simulated_rule_of_a_control_is_that_of_the_report(n: int) -> None:
    for number, runs in enumerate(draw("normal", np.array([1.0, 2, 1, 1]), np.array([0.0, 3, 2, 0]), n, 60)):
        samples = {str(name): dict(enumerate(row)) for name, row in enumerate(runs.tolist())}
        found = [each.finding in ("higher", "lower") for each in with_control(samples, "0")]
        half = just_significant(runs.var(-1, ddof=1), n, two_sided=True)
        assert found == (abs(runs[1:].mean(-1) - runs[0].mean()) > half).tolist(), number


def test_the_printed_number_of_seeds_has_the_printed_power() -> None:
    means, stds = (1.5, 0.0, 0.2, -1.0), (1.0,) * 4
    n = seeds_needed(means, stds)
    assert n is not None and power(means, stds, n) >= 0.8 > power(means, stds, n - 1)
    found = np.mean(sure(draw("normal", np.array(stds), np.array(means), n, FEW, seed=3)) == 0)
    assert found == pytest.approx(0.8, abs=0.03)


@pytest.mark.parametrize(("effect", "n"), [(0.5, 64), (0.8, 26), (1.0, 17), (1.4, 10)])
def test_two_configurations_need_the_seeds_of_printed_tables(effect: float, n: int) -> None:
    """Cohen 1988, table 2.4.1, two-sided 5 %, power .80. Student's test needs 64, 26, 17, 9.07."""
    found = seeds_needed((effect, 0.0), (1.0, 1.0))
    assert found is not None and n - 1 <= found <= n + 1


def test_no_lead_no_spread_and_two_runs_have_no_power() -> None:
    assert power((9.0, 0.0), (1.0, 1.0), 2) == 0 and lead_needed((1.0, 1.0), 2) is None
    assert seeds_needed((0.0, 0.0), (1.0, 1.0)) is None and seeds_needed((1e-4, 0.0), (1.0, 1.0)) is None
    assert power((9.0, 0.0), (0.0, 0.0), 5) == 0 and lead_needed((1.0,), 5) is None


def test_who_looks_at_each_new_seed_is_wrong_more_often() -> None:
    """An answer is interim until the planned seeds are there: looked at from three to ten, and at ten only."""
    runs = draw("normal", np.ones(2), np.zeros(2), 10, FEW)
    peeked = np.any([sure(runs[..., :n]) >= 0 for n in range(3, 11)], axis=0)
    assert np.mean(peeked) > 0.09
    assert np.mean(sure(runs) >= 0) <= allowed(FEW)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_whole_grid(kind: str) -> None:
    """Errors for k = 2..13 with equal spreads and with one or two configurations of 2, 3 and 10 times the others'."""
    sweeps = 20_000
    for n in (2, 3, 5, 10):
        for k in range(2, 14):
            runs = {name: draw(kind, stds, means, n, sweeps) for name, stds, means in cases(k, widest=(1, 2, 3, 10))}
            wrong = {name: np.mean(sure(each) >= 0) for name, each in runs.items()}
            plainly = max(np.mean(sure_and_plain(each) >= 0) for each in runs.values()) if n > 2 else 0.0
            equal = max(share for name, share in wrong.items() if name.startswith("1 of 1 "))
            worst = max(wrong, key=lambda name: wrong[name])
            lead = lead_needed((1.0,) * k, n)
            found = math.nan
            if lead is not None:
                means = np.where(np.arange(k) == 0, lead, 0.0)
                found = np.mean(sure(draw(kind, np.ones(k), means, n, sweeps, seed=5)) == 0)
                promised = 0.8 if kind == "normal" else power_if_skewed(lead, (1.0,) * k, n) or math.nan
                assert found >= promised - 0.03 and (kind != "normal" or found <= 0.83)
            print(f"{kind} n={n} k={k}: equal {equal:.1%}, unequal {wrong[worst]:.1%} ({worst}), plainly {plainly:.1%}"
                  f" lead for 80% {lead or math.nan:.2f} s, found {found:.1%}")  # fmt: skip
            assert equal <= allowed(sweeps), (n, k)
            assert kind != "normal" or wrong[worst] <= allowed(sweeps, 0.06), (n, k, worst)
            assert plainly <= allowed(sweeps, LEVEL if kind == "normal" else 0.12), (n, k)


def test_thirteen_configurations_are_told_apart_where_one_leads_by_ten_deviations() -> None:
    """Before, with all 78 pairs after Holm: 1 % at ten standard deviations."""
    means = np.where(np.arange(13) == 0, 10.0, 0.0)
    runs = draw("normal", np.ones(13), means, 3, FEW)
    assert np.mean(sure(runs) == 0) > 0.99
    old = _all_pairs_after_holm(runs)
    assert np.mean(old) < 0.1


def _all_pairs_after_holm(runs: Array) -> Array:
    """Return whether the first differs from each other one by Welch's test at 5 % / 78, Holm's first step, [sweeps]."""
    n, variances, means = runs.shape[-1], runs.var(-1, ddof=1), runs.mean(-1)
    error = variances[:, :1] + variances[:, 1:]
    df = (n - 1) * error**2 / (variances[:, :1] ** 2 + variances[:, 1:] ** 2)
    p = 2 * special.stdtr(df, -(means[:, :1] - means[:, 1:]) / np.sqrt(error / n))
    return p.max(1) * (78 - 12 + 1) < LEVEL
