"""Change of loss and gradient between steps, as the course reports measure it.

The paper (Santurkar et al. 2018) measures one batch along its gradient: `walk`. The reports compare the gradients of
successive steps, each from its own batch at its own weights. Their numbers therefore contain curvature and gradient
noise together, and cost no further gradient. They are called `runs/*`, because bands are drawn over sibling runs with
different learning rates:

- report b35c, beta: the largest ||g(t) - g(t')|| / (lr(t') ||g(t')||) over the runs.
- report a0b5, section 9: the cosine of successive gradients, and the largest ||g(t) - g(t')|| / ||w(t) - w(t')||,
  called a Lipschitz constant there. It equals beta for plain SGD without momentum, weight decay or clipping.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from trainer.probes.due import ProbeAtSteps, Steps
from trainer.probes.gradients import change, distance, flat, norm
from trainer.protocols import Measured, Ratio, View


@dataclass(frozen=True)
class Moment:
    """A measured step. P trained parameters."""

    lr: float
    weights: Tensor  # [P] before its update
    gradient: Tensor  # [P]
    grad_norm: Tensor  # []


class DriftProbe(ProbeAtSteps):
    """A probe that keeps copies of gradient and weights. Optimizers and clipping change the originals in place."""

    name = "drift"
    clocked_apart = False

    def __init__(self, steps: Steps, device: torch.device) -> None:
        super().__init__(steps)
        self._device = device
        self._before: Moment | None = None

    def measure(self, view: View) -> Measured:
        """Return the change from the previous measured step t' to t. The first one has only loss and norm.

        runs/loss           L(t), the objective on the step's batch
        runs/grad_norm      ||g(t)||
        runs/grad_distance  ||g(t) - g(t')||
        runs/grad_cosine    cosine of g(t) and g(t')
        runs/beta           ||g(t) - g(t')|| / (lr(t') ||g(t')||), with the rate of the weights; absent if that or
                            g(t') was 0
        runs/lipschitz      ||g(t) - g(t')|| / ||w(t) - w(t')||; absent if the weights have not moved
        """
        before = self._before
        gradient, weights = flat(view.gradient), flat(p for p in view.model.parameters() if p.requires_grad)
        if before is None:
            self._before = Moment(view.lr, weights, gradient, norm(gradient))
            return {"runs/loss": view.loss, "runs/grad_norm": self._before.grad_norm}
        moved = change(gradient, before.gradient, before.grad_norm)
        self._before = Moment(view.lr, weights, gradient, moved.norm)
        metrics: dict[str, Tensor | Ratio] = {
            "runs/loss": view.loss,
            "runs/grad_norm": moved.norm,
            "runs/grad_distance": moved.distance,
            "runs/grad_cosine": moved.cosine,
            "runs/lipschitz": Ratio(moved.distance, distance(weights, before.weights)),
        }
        if before.lr:
            metrics["runs/beta"] = Ratio(moved.distance, before.lr * before.grad_norm)
        return metrics

    def state_dict(self) -> Mapping[str, Any]:
        return {} if self._before is None else dict(vars(self._before))

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        if state:
            lr, *vectors = (state[field.name] for field in fields(Moment))
            self._before = Moment(lr, *(vector.to(self._device) for vector in vectors))
