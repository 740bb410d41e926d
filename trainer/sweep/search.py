"""A sweep in Optuna's terms: its space, what a bayes search's sampler is told, the next run of a search."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from trainer.runs.groups import SEED, identity
from trainer.sweep.file import Metric, Sweep
from trainer.sweep.hyperband import finite
from trainer.sweep.means import as_complete, merged, next_seed
from trainer.sweep.points import Point, sample
from trainer.sweep.space import Choice, Constant, Parameter, Range, quantile

_EXACT = 2**53  # Optuna keeps whole numbers as floats


@dataclass(frozen=True)
class Proposal:
    """A run that a search asks for, with its values as Optuna has them."""

    point: Point
    params: Mapping[str, Any]
    distributions: Mapping[str, BaseDistribution]


def propose(trials: Sequence[FrozenTrial], sweep: Sweep, *, no_more_points: bool = False) -> Proposal | None:
    """Return the next run of a search after these trials of a ledger. Raises ValueError for a search without a metric.

    A Bayesian search may repeat a point. A search of means returns None if it has no point left. With `no_more_points`
    it proposes further seeds only. The last runs of one go to them, too.
    """
    metric = sweep.file.metric
    if metric is None:
        raise ValueError(f"{sweep.name} has no metric to search by")
    if sweep.seeds_per_point > 1:
        runs = list(_newest(trials).values())
        last = no_more_points or sweep.cap - len(runs) < sweep.seeds_per_point
        if due := next_seed(runs, metric, seeds_per_point=sweep.seeds_per_point, no_more_points=last):
            point = Point({**due.like.user_attrs["point"], SEED: due.seed})
            return Proposal(point, due.like.params, due.like.distributions)
        if no_more_points:
            return None
    first = {SEED: 0} if sweep.seeds_per_point > 1 else {}
    if sweep.file.method == "bayes":
        distributions = distributions_of(sweep)
        params = _suggest(trials, distributions, metric, means=sweep.seeds_per_point > 1)
        return Proposal(Point({**values_of(params, sweep), **first}), params, distributions)
    known = {Point(trial.user_attrs["point"]).key for trial in trials if "point" in trial.user_attrs}
    known |= {trial.user_attrs.get("refused") for trial in trials}
    shown = shown_distributions(sweep, trials)
    for drawn in sample(replace(sweep, space=sweep.searched), sweep.cap + len(known)):
        point = Point({**drawn.values, **first})
        if point.key not in known:
            return Proposal(point, shown_params(point.values, shown), shown)
    return None


def _suggest(
    trials: Sequence[FrozenTrial], distributions: Mapping[str, BaseDistribution], metric: Metric, *, means: bool
) -> dict[str, Any]:
    """Return the parameters that Optuna's TPE sampler proposes."""
    study = optuna.create_study(
        direction=metric.goal, sampler=optuna.samplers.TPESampler(seed=len(trials), constant_liar=True)
    )
    told = _told(trials, metric)
    study.add_trials(merged(told) if means else told)
    return study.ask(dict(distributions)).params


def _told(trials: Sequence[FrozenTrial], metric: Metric) -> list[FrozenTrial]:
    """Return what the sampler is told, a trial for each run, as W&B's bayes search is (`sweeps` 0.3.0).

    A failed run has the value that `metric.impute` says, and with `impute_while_running` a running one the best so far.
    W&B takes 0 for a run without any value. Here it is the worst value of all, since 0 is the best of losses.
    """
    newest = _newest(trial for trial in trials if trial.state != TrialState.WAITING)
    worst_of, best_of = (min, max) if metric.goal == "maximize" else (max, min)
    ended = [value for trial in newest.values() if trial.state.is_finished() for value in _values(trial)]
    worst = worst_of(ended) if ended else None
    found: list[FrozenTrial] = []
    for trial in newest.values():
        logged, value = _values(trial), None
        if trial.state == TrialState.RUNNING:
            if metric.impute_while_running != "false":
                value = best_of(logged) if logged else worst
        elif trial.state == TrialState.PRUNED or math.isfinite(_final(trial)):
            pass  # it has a value of its own
        elif _state(trial) == "interrupted":
            continue
        else:
            choose = {"best": best_of, "latest": lambda values: values[-1]}.get(metric.impute)
            value = choose(logged) if choose and logged else worst
            if value is None:
                continue
        found.append(trial if value is None else as_complete(trial, value))
    return found


def _values(trial: FrozenTrial) -> list[float]:
    """Return the finite values of a trial, in the order of its epochs, with its final one at the end."""
    logged = [trial.intermediate_values[epoch] for epoch in sorted(trial.intermediate_values)]
    return finite([*logged, _final(trial)])


def _final(trial: FrozenTrial) -> float:
    return trial.value if trial.state == TrialState.COMPLETE and trial.value is not None else math.nan


def _state(trial: FrozenTrial) -> str:
    return trial.user_attrs.get("outcome", {}).get("state", "interrupted")


def _newest(trials: Iterable[FrozenTrial]) -> dict[str, FrozenTrial]:
    """Return the last attempt at each run."""
    attempts = (trial for trial in trials if "point" in trial.user_attrs and _state(trial) != "missing")
    return {trial.user_attrs["run"]: trial for trial in attempts}


def distributions_of(sweep: Sweep) -> dict[str, BaseDistribution]:
    """Return Optuna's distributions of what is searched. Constants are no dimension.

    What Optuna does not have is searched by its quantile, a number from 0 to 1, as W&B searches every parameter.
    """
    found: dict[str, BaseDistribution] = {}
    for key, parameter in sweep.searched.items():
        match parameter:
            case Constant():
                pass
            case Choice():
                found[key] = CategoricalDistribution([json.dumps(value) for value in parameter.choices])
            case Range():
                found[key] = _native(parameter) or FloatDistribution(0, 1)
    return found


def _native(parameter: Range) -> BaseDistribution | None:
    """Return Optuna's own distribution of a range, or None if it has none."""
    match parameter:
        case Range("int_uniform", low, high) if low > -_EXACT and high < _EXACT:
            return IntDistribution(int(low), int(high))
        case Range("log_uniform_values", low, high):
            return FloatDistribution(low, high, log=True)
        case Range("uniform", low, high):
            return FloatDistribution(low, high)
        case _:
            return None


def shown_distributions(sweep: Sweep, trials: Sequence[FrozenTrial]) -> dict[str, BaseDistribution]:
    """Return the distributions under which Optuna's tools show the points of a grid or a random search.

    A key is left out if earlier trials have another distribution of it, such as `seed` with more seeds. Optuna has one
    for each key. So is what Optuna does not have.
    """
    return {
        key: distribution
        for key, distribution in distributions_of(sweep).items()
        if (not isinstance(parameter := sweep.space[key], Range) or _native(parameter))
        and all(trial.distributions.get(key, distribution) == distribution for trial in trials)
    }


def shown_params(values: Mapping[str, Any], distributions: Mapping[str, BaseDistribution]) -> dict[str, Any]:
    """Return a point's values as Optuna's tools show them."""
    return {
        key: _choice(values[key], distribution) if isinstance(distribution, CategoricalDistribution) else values[key]
        for key, distribution in distributions.items()
    }


def _choice(value: Any, distribution: CategoricalDistribution) -> str:
    """Return the choice that a value is. A list of values may have it as 1 and as 1.0, and the choices once."""
    if (text := json.dumps(value)) in distribution.choices:
        return text
    return next(str(each) for each in distribution.choices if identity(json.loads(str(each))) == identity(value))


def values_of(params: Mapping[str, Any], sweep: Sweep) -> dict[str, Any]:
    """Return the values of a point that Optuna proposes."""

    def value(key: str, parameter: Parameter) -> Any:
        match parameter:
            case Constant(known):
                return known
            case Choice():
                return json.loads(params[key])
            case Range():
                return params[key] if _native(parameter) else quantile(parameter, params[key])

    return {key: value(key, parameter) for key, parameter in sweep.searched.items()}
