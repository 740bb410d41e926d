"""`probe`: measurements during training besides loss and accuracy. docs/landscape.md explains each quantity."""

from typing import Annotated, Self

from pydantic import Field, NonNegativeInt, Tag, model_validator

from trainer.config.base import Section
from trainer.config.optimizer import Rate
from trainer.config.own import NoExtra, OwnPart, own_or


class When(Section):
    """The steps at which a probe measures: all that one of three keys names. If none does, the probe is off."""

    every: NonNegativeInt = 0
    """Steps between two measurements, starting at step 0. 0 turns this off."""
    at: tuple[NonNegativeInt, ...] = ()
    """Single steps to measure."""
    log_spaced: int = Field(default=0, ge=0, le=10**6)
    """Number of steps to measure over the whole run, in equal ratios from the first to the last, so dense at first."""

    @property
    def is_on(self) -> bool:
        return bool(self.every or self.at or self.log_spaced)


class Walk(When):
    """Loss and gradient along the gradient of one batch: `probe/*` (Santurkar et al. 2018, section 3.1, figure 4)."""

    points: Annotated[int, Field(ge=2, le=10**4)] = 8
    """Number of steps along the gradient, evenly spaced and including both ends."""
    reference_lr: Rate | None = None
    """The steps are 1/2 to 4 times this rate. null takes the rate of the training step."""
    max_step: Rate = 0.4
    """Longest step, as in the paper. If it limits the steps, the shortest is an eighth of it."""


class Drift(When):
    """Change of loss and gradient from one measured step to the next: `runs/*`. The reports use every=1."""


class Noise(When):
    """Variance of the gradient over batches: `probe/grad_variance`, `probe/grad_noise_scale`."""

    parts: Annotated[int, Field(ge=2)] = 4
    """Parts of the step's batch whose gradients are compared. Together they cost one gradient."""


class Shift(When):
    """Internal covariate shift of each layer: `probe/shift_*` (Santurkar et al. 2018, definition 2.1)."""

    layers: tuple[str, ...] = ()
    """Layers by name, or by number from 1. Empty means all except the first, which cannot shift. Each layer costs a
    gradient."""


class Features(When):
    """Statistics of the layers' outputs on the step's batch: `probe/feature_*`."""

    layers: tuple[str, ...] = ()
    """Layers by name, or by number from 1. Empty means all."""


class OwnProbe(When, OwnPart):
    """A measurement of yours: `extra/*`."""

    @model_validator(mode="after")
    def _it_is_due(self) -> Self:
        if not self.is_on:
            raise ValueError("it measures at no step; set every, at or log_spaced")
        return self


Extra = Annotated[Annotated[NoExtra, Tag("closed")] | Annotated[OwnProbe, Tag("own")], own_or("probe.extra", NoExtra)]


class Path(Section):
    every_epochs: NonNegativeInt = 0
    """Epochs between weights kept in `path/`, including the first and the last. Surfaces along the training path and
    Hessians at several epochs need them. 0 keeps none."""


class Probe(Section):
    walk: Walk = Field(default_factory=Walk)
    drift: Drift = Field(default_factory=Drift)
    noise: Noise = Field(default_factory=Noise)
    shift: Shift = Field(default_factory=Shift)
    features: Features = Field(default_factory=Features)
    extra: Extra = Field(default_factory=NoExtra)
    path: Path = Field(default_factory=Path)

    @property
    def measured(self) -> list[str]:
        """Return the keys of the probes that measure at some step, such as `probe.walk`."""
        probes = {name: getattr(self, name) for name in type(self).model_fields}
        return [f"probe.{name}" for name, probe in probes.items() if isinstance(probe, When) and probe.is_on]
