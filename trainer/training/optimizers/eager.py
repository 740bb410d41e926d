"""torch's optimizers without what torch.compile needs of them, which they import: a second or more at every start.

Their numbers are torch's. Left out are the wrappers that matter only to an optimizer inside a compiled function.
"""

import inspect
from typing import Any

import torch
from torch import optim


class Eager(optim.Optimizer):
    """An optimizer that does not import torch._dynamo when it is made, saved and loaded."""

    add_param_group = inspect.unwrap(optim.Optimizer.add_param_group)
    zero_grad = inspect.unwrap(optim.Optimizer.zero_grad)
    state_dict = inspect.unwrap(optim.Optimizer.state_dict)
    load_state_dict = inspect.unwrap(optim.Optimizer.load_state_dict)


def _plain_step(kind: type[optim.Optimizer]) -> Any:
    """Return the step of an optimizer without the import in it. It builds no graph, as torch's own by default."""
    return torch.no_grad()(inspect.unwrap(kind.step))


class SGD(Eager, optim.SGD):
    step = _plain_step(optim.SGD)


class Adam(Eager, optim.Adam):
    step = _plain_step(optim.Adam)


class AdamW(Eager, optim.AdamW):
    step = _plain_step(optim.AdamW)


class Adamax(Eager, optim.Adamax):
    step = _plain_step(optim.Adamax)


class NAdam(Eager, optim.NAdam):
    step = _plain_step(optim.NAdam)


class Adadelta(Eager, optim.Adadelta):
    step = _plain_step(optim.Adadelta)


class Adagrad(Eager, optim.Adagrad):
    step = _plain_step(optim.Adagrad)


class RMSprop(Eager, optim.RMSprop):
    step = _plain_step(optim.RMSprop)
