"""A W&B search in Optuna's terms: its space, its early termination, the point of a proposal."""

import json
from collections.abc import Mapping
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from trainer.errors import SweepError
from trainer.sweep.file import Sweep
from trainer.sweep.space import Choice, Constant, Parameter, Range


def pruner_of(sweep: Sweep) -> optuna.pruners.BasePruner:
    """Return the pruner of a sweep. W&B's hyperband is one ladder of brackets, as in Optuna's successive halving.

    Optuna's HyperbandPruner would spread the runs over several ladders.
    """
    early = sweep.file.early_terminate
    if early is None:
        return optuna.pruners.NopPruner()
    if not float(early.eta).is_integer():
        raise SweepError(f"{sweep.path}: early_terminate.eta: {early.eta}: the local engine takes whole numbers")
    return optuna.pruners.SuccessiveHalvingPruner(
        min_resource=int(early.first_bracket), reduction_factor=int(early.eta), min_early_stopping_rate=0
    )


def distributions_of(sweep: Sweep) -> dict[str, BaseDistribution]:
    """Return Optuna's distributions, as W&B's own adapter maps them (wandb/sdk/sweeps/scheduler/optuna.py).

    Constants are no dimension. Raises SweepError for a distribution that Optuna does not have.
    """
    found: dict[str, BaseDistribution] = {}
    for key, parameter in sweep.space.items():
        match parameter:
            case Constant():
                pass
            case Choice(values):
                found[key] = CategoricalDistribution([json.dumps(value) for value in values])
            case Range("int_uniform", low, high):
                found[key] = IntDistribution(int(low), int(high))
            case Range("q_uniform", low, high, q):
                found[key] = FloatDistribution(low, high, step=q)
            case Range("log_uniform_values", low, high):
                found[key] = FloatDistribution(low, high, log=True)
            case Range("uniform", low, high):
                found[key] = FloatDistribution(low, high)
            case Range(other):
                raise SweepError(f"{sweep.path}: parameters.{key}: a bayes search by Optuna has no {other}")
    return found


def values_of(params: Mapping[str, Any], space: Mapping[str, Parameter]) -> dict[str, Any]:
    """Return the values of a point that Optuna proposes."""

    def value(key: str, parameter: Parameter) -> Any:
        if isinstance(parameter, Constant):
            return parameter.value
        return json.loads(params[key]) if isinstance(parameter, Choice) else params[key]

    return {key: value(key, parameter) for key, parameter in space.items()}
