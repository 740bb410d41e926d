"""One optimizer update on one batch, and the view of it that a probe gets."""

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from trainer.probes.untouched import untouched
from trainer.protocols import View
from trainer.seeds import random_state, set_random_state
from trainer.training.parts import Parts

Seen = Callable[[Tensor, Tensor], None]
"""Is told the summed loss [] and the number of correct images [] of a part of a batch."""


class Step:
    """A batch of images [N, C, H, W] and targets [N] or [N, K]: its gradient, then its update.

    They may be a part `of` a batch of so many images. They are processed in `pieces`, by default `train.accumulate`,
    and never in more than there are images. If the step is `watched`, a probe asks for its `view`. So the state of the
    generators is kept, to draw the same numbers again, and all parameters get a gradient, as for clipping.
    Otherwise those whose rate has ended get none: for a first bias it would cost the gradient of the whole second
    layer's input.
    """

    def __init__(
        self,
        parts: Parts,
        images: Tensor,
        targets: Tensor,
        *,
        of: int | None = None,
        watched: bool = False,
        pieces: int | None = None,
    ) -> None:
        self._parts, self._images, self._targets = parts, images, targets
        self._of = len(targets) if of is None else of
        self._pieces = min(parts.config.accumulate if pieces is None else pieces, len(targets))
        self._generators = random_state(parts.compute.device) if watched else None
        self._learning = None if watched or parts.config.clip_grad_norm else parts.learning

    def backward(self, seen: Seen | None = None) -> Tensor:
        """Return the objective [] and add its scaled gradient to `.grad`, piece by piece.

        `seen` is told of each piece, without waiting for the device.
        """
        parts, pieces = self._parts, self._pieces
        objective = torch.zeros((), device=parts.compute.device)
        parts.optimizer.zero_grad(set_to_none=True)
        for x, y in zip(self._images.tensor_split(pieces), self._targets.tensor_split(pieces), strict=True):
            with parts.compute.autocast():
                logits = parts.forward(x)
            logits = logits.float()
            loss = parts.loss_fn(logits, y).sum()
            share = loss if parts.reduction == "sum" else loss / self._of
            parts.scaler.scale(share).backward(inputs=self._learning)
            objective += share.detach()
            if seen:
                labels = y if y.ndim == 1 else y.argmax(1)
                seen(loss, (logits.argmax(1) == labels).sum())
        if parts.penalty:
            penalty = parts.penalty()
            parts.scaler.scale(penalty).backward(inputs=self._learning)
            objective += penalty.detach()
        return objective

    def update(self) -> None:
        """Update the weights with the gradient in `.grad`."""
        parts = self._parts
        if parts.config.clip_grad_norm:
            parts.scaler.unscale_(parts.optimizer)
            self._clip()
        self._forget_ended()
        parts.scaler.step(parts.optimizer)
        parts.scaler.update()

    def gradient(self) -> tuple[Tensor, ...]:
        """Return what `backward` has found by trained parameter, without the scaler's scale, zeros where nothing."""
        return self._unscaled(self._found())

    def _unscaled(self, gradients: Sequence[Tensor | None]) -> tuple[Tensor, ...]:
        scaler, pairs = self._parts.scaler, zip(gradients, self._trained(), strict=True)
        found = [torch.zeros_like(p) if g is None else g for g, p in pairs]
        if not scaler.is_enabled():
            return tuple(found)
        scale = scaler.scale(torch.ones((), device=self._parts.compute.device))
        return tuple(g / scale for g in found)

    def view(self, loss: Tensor, *, step: int, epoch: float, lr: float) -> View:
        """Return the view of this step between `backward`, which returned `loss`, and `update`."""
        parts, trained = self._parts, self._trained()
        found_here = self._found()

        def loss_and_gradient() -> tuple[Tensor, tuple[Tensor, ...]]:
            assert self._generators is not None
            set_random_state(self._generators, parts.compute.device)
            return self.backward(), self.gradient()

        def gradients_of_parts(count: int) -> list[tuple[Tensor, ...]]:
            size = len(self._targets) // count
            found: list[tuple[Tensor, ...]] = []
            for images, targets in zip(
                self._images.split(size)[:count], self._targets.split(size)[:count], strict=True
            ):
                part = Step(parts, images, targets, watched=True, pieces=self._pieces_of(size))
                part.backward()
                times = len(self._targets) / size if parts.reduction == "sum" else 1.0
                found.append(tuple(times * g for g in part.gradient()))
            return found

        ours = self._unscaled(found_here)

        def next_parameters() -> tuple[Tensor, ...]:
            if parts.scaler.is_enabled() and not torch.stack([g.isfinite().all() for g in ours]).all():
                return tuple(parameter.detach().clone() for parameter in trained)  # the scaler skips this step
            with untouched(parts.model):
                before = copy.deepcopy(parts.optimizer.state_dict())
                for parameter, g, one in zip(trained, ours, found_here, strict=True):
                    parameter.grad = None if one is None else g.clone()  # an optimizer skips parameters without one
                self._clip()
                self._forget_ended()
                parts.optimizer.step()
                parts.optimizer.load_state_dict(before)
                return tuple(parameter.detach().clone() for parameter in trained)

        images, targets = self._images, self._targets
        return View(
            step, epoch, lr, parts.model, images, targets, loss, ours, loss_and_gradient, gradients_of_parts,
            next_parameters,
        )  # fmt: skip

    def _pieces_of(self, images: int) -> int:
        """Return the number of pieces in which so many of this step's images are processed by themselves.

        One if they fit into a piece of the step, so that they share their batch statistics. No piece is larger than the
        step's, for memory. None is a single image where the step has none, since BatchNorm may refuse it: of 3 images
        in a step of pairs, the piece is all 3.
        """
        largest, smallest = -(-len(self._targets) // self._pieces), len(self._targets) // self._pieces
        return max(1, min(-(-images // largest), images // min(2, smallest)))

    def _found(self) -> list[Tensor | None]:
        """Return the scaled gradient of each trained parameter, None for one that the objective does not depend on."""
        return [parameter.grad for parameter in self._trained()]

    def _clip(self) -> None:
        if self._parts.config.clip_grad_norm:
            nn.utils.clip_grad_norm_(self._trained(), self._parts.config.clip_grad_norm)

    def _forget_ended(self) -> None:
        """Drop the gradients of parameters whose rate has ended, since some optimizers move them at a rate of 0."""
        for parameter in self._parts.ended:
            parameter.grad = None

    def _trained(self) -> list[nn.Parameter]:
        return [parameter for parameter in self._parts.model.parameters() if parameter.requires_grad]
