"""Statistics of the layers' outputs on a training batch, and how they change during training."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from trainer.probes.due import ProbeAtSteps, Steps
from trainer.probes.layers import layers_of, pick_layers, weight_dims
from trainer.probes.untouched import untouched
from trainer.protocols import View

KEY = "probe.features.layers"
_EPS = 1e-5  # added to a variance before it divides, as in BatchNorm (Ioffe & Szegedy 2015, algorithm 1)


class FeaturesProbe(ProbeAtSteps):
    """A probe that makes one more forward pass of the step's whole batch.

    In float32, in training mode, with dropout masks of its own.
    """

    name = "features"

    def __init__(self, steps: Steps, layers: Sequence[str], device: torch.device) -> None:
        super().__init__(steps)
        self._layers, self._device = layers, device
        self._before: dict[str, dict[str, Tensor]] = {}  # by layer: `mean` and `std` [C] at the last measurement

    def measure(self, view: View) -> Mapping[str, Tensor | float]:
        """Return statistics of each layer's output (C channels), before any norm or activation that is its own layer.

        probe/feature_mean/LAYER   mean over all values
        probe/feature_std/LAYER    standard deviation over all values
        probe/feature_dead/LAYER   share of channels that are nowhere positive: a ReLU would set them to 0
        probe/feature_shift/LAYER  mean over the channels of |mean - mean before| / std before. "Before" is the previous
                                   measured step, on another batch. Absent at the first one. Ioffe & Szegedy 2015
                                   (section 2) call this change of distributions internal covariate shift

        A layer that is called several times has the numbers of its last call. One that is not called as a module, or
        that returns more than one tensor, has none.
        """
        metrics: dict[str, Tensor | float] = {}
        measured: dict[str, dict[str, Tensor]] = {}

        def keep_statistics(name: str, layer: nn.Module, _: Any, output: Any) -> None:
            if not isinstance(output, Tensor):
                return
            axis = 1 if weight_dims(layer) > 2 else output.ndim - 1
            over = [dim for dim in range(output.ndim) if dim != axis]
            mean, variance = output.mean(over), output.var(over, correction=0)
            metrics[f"probe/feature_mean/{name}"] = output.mean()
            metrics[f"probe/feature_std/{name}"] = output.std(correction=0)
            metrics[f"probe/feature_dead/{name}"] = (output.amax(over) <= 0).float().mean()
            if before := self._before.get(name):
                metrics[f"probe/feature_shift/{name}"] = ((mean - before["mean"]).abs() / before["std"]).mean()
            measured[name] = {"mean": mean, "std": (variance + _EPS).sqrt()}

        modules = layers_of(view.model)
        hooks = [modules[name].register_forward_hook(partial(keep_statistics, name)) for name in self._layers]
        try:
            with untouched(view.model), torch.no_grad():
                view.model(view.images)
        finally:
            for hook in hooks:
                hook.remove()
        self._before |= measured  # not before the pass is over: a layer may be called again
        return metrics

    def state_dict(self) -> Mapping[str, Any]:
        return self._before

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._before = {
            name: {key: value.to(self._device) for key, value in kept.items()} for name, kept in state.items()
        }


def featured_layers(model: nn.Module, asked: Sequence[str]) -> list[str]:
    """Return the names of the layers asked for. Raises ConfigError for one that the network does not have."""
    return pick_layers(asked, list(layers_of(model)), KEY)
