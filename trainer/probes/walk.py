"""Loss and gradient along the gradient of one batch (Santurkar et al. 2018, sections 3.1 and 3.2)."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from trainer.config.probe import Walk
from trainer.probes.due import ProbeAtSteps, Steps
from trainer.probes.gradients import Change, LossAndGradient, change, flat, norm
from trainer.probes.untouched import untouched
from trainer.protocols import View

_SHORTEST, _LONGEST = 0.5, 4.0  # times the reference rate, as in the paper's figure 4
_EIGHTH = _SHORTEST / _LONGEST


@dataclass(frozen=True)
class GradientWalk:
    """Loss and gradient of one batch at S points w - eta g along its gradient g at weights w."""

    step_sizes: Tensor  # [S] eta
    loss_here: Tensor  # [] L(w)
    grad_norm: Tensor  # [] ||g(w)||
    loss: Tensor  # [S] L(w - eta g)
    grad_l2: Tensor  # [S] ||g(w - eta g) - g(w)||
    grad_cosine: Tensor  # [S] cosine of g(w - eta g) and g(w)

    @property
    def beta(self) -> Tensor:
        """Effective beta-smoothness []: the largest change of the gradient per distance walked."""
        return (self.grad_l2 / (self.step_sizes * self.grad_norm)).max()

    @property
    def lipschitz(self) -> Tensor:
        """Estimate of the loss's Lipschitz constant []: its largest change per distance walked."""
        return ((self.loss - self.loss_here).abs() / (self.step_sizes * self.grad_norm)).max()


def walk_along_gradient(
    model: nn.Module, loss_and_gradient: LossAndGradient, loss: Tensor, gradient: tuple[Tensor, ...], step_sizes: Tensor
) -> GradientWalk:
    """Walk from the model's weights, with `loss` [] and `gradient`, by each of `step_sizes` [S].

    The model stays as it was: weights, buffers, `.grad`, modes and generators.
    """
    losses: list[Tensor] = []
    changes: list[Change] = []
    here = flat(gradient)
    grad_norm = norm(here)
    with untouched(model):
        parameters = [p for p in model.parameters() if p.requires_grad]
        start = [p.detach().clone() for p in parameters]
        for eta in step_sizes.tolist():
            with torch.no_grad():
                for parameter, w, g in zip(parameters, start, gradient, strict=True):
                    torch.sub(w, g, alpha=eta, out=parameter)
            there, new = loss_and_gradient()
            losses.append(there)
            changes.append(change(flat(new), here, grad_norm))
    return GradientWalk(
        step_sizes.to(grad_norm),
        loss,
        grad_norm,
        torch.stack(losses),
        torch.stack([each.distance for each in changes]),
        torch.stack([each.cosine for each in changes]),
    )


def step_sizes(config: Walk, lr: float) -> Tensor:
    """Return eta [points], evenly spaced from 1/2 to 4 times the reference rate, at most `max_step`."""
    longest = min(_LONGEST * (config.reference_lr or lr), config.max_step)
    return torch.linspace(_EIGHTH * longest, longest, config.points, dtype=torch.float64)


class WalkProbe(ProbeAtSteps):
    """A probe that walks along the gradient of the step's batch."""

    name = "walk"

    def __init__(self, config: Walk, steps: Steps) -> None:
        super().__init__(steps)
        self._config = config

    def measure(self, view: View) -> Mapping[str, Tensor | float]:
        """Return the metrics of a walk, or none at a step whose rate is 0, such as the first of a warm-up."""
        sizes = step_sizes(self._config, view.lr)
        if not sizes[-1]:
            return {}
        walk = walk_along_gradient(view.model, view.loss_and_gradient, view.loss, view.gradient, sizes)
        return {
            "probe/loss": walk.loss_here,
            "probe/loss_min": walk.loss.min(),
            "probe/loss_max": walk.loss.max(),
            "probe/grad_norm": walk.grad_norm,
            "probe/grad_l2_min": walk.grad_l2.min(),
            "probe/grad_l2_max": walk.grad_l2.max(),
            "probe/grad_cosine_min": walk.grad_cosine.min(),
            "probe/grad_cosine_max": walk.grad_cosine.max(),
            "probe/beta": walk.beta,
            "probe/lipschitz": walk.lipschitz,
        }
