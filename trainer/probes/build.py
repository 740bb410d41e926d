"""The probes that a config switches on."""

from torch import nn

from trainer.config.probe import OwnProbe
from trainer.config.probe import Probe as Config
from trainer.probes.drift import DriftProbe
from trainer.probes.due import steps_of
from trainer.probes.features import FeaturesProbe, featured_layers
from trainer.probes.noise import NoiseProbe
from trainer.probes.own import ExtraProbe
from trainer.probes.shift import ShiftProbe, shifting_layers
from trainer.probes.walk import WalkProbe
from trainer.protocols import Probe


def build_probes(config: Config, model: nn.Module, *, total_steps: int) -> list[Probe]:
    """Return the probes of a model that is on its device. Raises ConfigError for a layer that it does not have."""
    device = next(model.parameters()).device
    probes: list[Probe] = []
    if steps := steps_of(config.walk, total_steps):
        probes.append(WalkProbe(config.walk, steps))
    if steps := steps_of(config.drift, total_steps):
        probes.append(DriftProbe(steps, device))
    if steps := steps_of(config.noise, total_steps):
        probes.append(NoiseProbe(config.noise, steps))
    if steps := steps_of(config.shift, total_steps):
        probes.append(ShiftProbe(steps, shifting_layers(model, config.shift.layers)))
    if steps := steps_of(config.features, total_steps):
        probes.append(FeaturesProbe(steps, featured_layers(model, config.features.layers), device))
    if isinstance(config.extra, OwnProbe) and (steps := steps_of(config.extra, total_steps)):
        probes.append(ExtraProbe(config.extra, steps))
    return probes
