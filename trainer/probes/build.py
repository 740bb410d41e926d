"""The probes that a config switches on."""

from torch import nn

from trainer.config.probe import Probe as Config
from trainer.observe import Probe
from trainer.probes.drift import DriftProbe
from trainer.probes.due import steps_of
from trainer.probes.walk import WalkProbe


def build_probes(config: Config, model: nn.Module, *, total_steps: int) -> list[Probe]:
    """Raises ConfigError for a layer that the network does not have."""
    probes: list[Probe] = []
    if steps := steps_of(config.walk, total_steps):
        probes.append(WalkProbe(config.walk, steps))
    if steps := steps_of(config.drift, total_steps):
        probes.append(DriftProbe(steps, next(model.parameters()).device))
    return probes
