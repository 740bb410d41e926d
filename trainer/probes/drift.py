"""Loss and gradient from one step to the next, as the course reports measure them.

The paper (Santurkar et al. 2018) keeps a batch and looks along its gradient: `walk`. The reports compare the gradients
of successive steps, each of its own batch at its own weights, so that what they find is curvature and the noise of
sampling together. It costs no further gradient. Their quantities have names of their own, `runs/*`, because bands are
then drawn over sibling runs of different rates:

- report b35c, beta: ||g(t) - g(t')|| / (lr(t') ||g(t')||), its largest over the runs.
- report a0b5, section 9: the cosine of successive gradients; and, called a Lipschitz constant there,
  ||g(t) - g(t')|| / ||w(t) - w(t')||, its largest. The two agree for plain SGD without momentum, decay or clipping.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from trainer.probes.due import Steps
from trainer.probes.gradients import change, distance, flat, norm
from trainer.protocols import View


@dataclass(frozen=True)
class Moment:
    """A step that was looked at, P trained parameters."""

    lr: float
    weights: Tensor  # [P] before its update
    gradient: Tensor  # [P]
    grad_norm: Tensor  # []


class DriftProbe:
    """Keeps a copy of gradient and weights: optimizers and clipping change a step's own in place."""

    name = "drift"
    clocked_apart = False

    def __init__(self, steps: Steps, device: torch.device) -> None:
        self._steps, self._device = steps, device
        self._before: Moment | None = None

    def due(self, step: int) -> bool:
        return step in self._steps

    def measure(self, view: View) -> Mapping[str, Tensor | float]:
        """From t', the looked-at step before, to t; of the first one there is only its loss and its norm.

        runs/loss           L(t), the objective of the step's batch
        runs/grad_norm      ||g(t)||
        runs/grad_distance  ||g(t) - g(t')||
        runs/grad_cosine    of g(t) and g(t')
        runs/beta           ||g(t) - g(t')|| / (lr(t') ||g(t')||), lr being that of the weights; none where it was 0
        runs/lipschitz      ||g(t) - g(t')|| / ||w(t) - w(t')||
        """
        before = self._before
        gradient, weights = flat(view.gradient), flat(p for p in view.model.parameters() if p.requires_grad)
        if before is None:
            self._before = Moment(view.lr, weights, gradient, norm(gradient))
            return {"runs/loss": view.loss, "runs/grad_norm": self._before.grad_norm}
        moved = change(gradient, before.gradient, before.grad_norm)
        self._before = Moment(view.lr, weights, gradient, moved.norm)
        found: dict[str, Tensor | float] = {
            "runs/loss": view.loss,
            "runs/grad_norm": moved.norm,
            "runs/grad_distance": moved.distance,
            "runs/grad_cosine": moved.cosine,
            "runs/lipschitz": moved.distance / distance(weights, before.weights),
        }
        if before.lr:
            found["runs/beta"] = moved.distance / (before.lr * before.grad_norm)
        return found

    def state_dict(self) -> Mapping[str, Any]:
        return {} if self._before is None else dict(vars(self._before))

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        if state:
            lr, *vectors = (state[field.name] for field in fields(Moment))
            self._before = Moment(lr, *(each.to(self._device) for each in vectors))
