"""`probe`: what is measured during training beside loss and accuracy. docs/landscape.md explains each quantity."""

from typing import Annotated

from pydantic import Field, NonNegativeInt, PositiveFloat

from trainer.config.base import Section


class When(Section):
    """The steps at which a probe looks: all that any of these three name. Off unless one does."""

    every: NonNegativeInt = 0
    """Steps between two measurements, from step 0 on; 0: none."""
    at: tuple[NonNegativeInt, ...] = ()
    """Single steps."""
    log_spaced: NonNegativeInt = 0
    """So many steps over the whole run, in equal ratios from the first to the last: dense where training is fast."""


class Walk(When):
    """`probe/*` along the gradient of one batch (Santurkar et al. 2018, section 3.1 and figure 4)."""

    points: Annotated[int, Field(ge=2)] = 8
    """Steps along the gradient, evenly spaced, both ends among them."""
    reference_lr: PositiveFloat | None = None
    """They go from 1/2 to 4 times this rate; null: the step's own."""
    max_step: PositiveFloat = 0.4
    """Longest step, as in the paper; where it cuts, the shortest stays an eighth of it."""


class Drift(When):
    """`runs/*`, as the reports measure: loss and gradient from one looked-at step to the next; every=1: each step."""


class Shift(When):
    """`probe/shift_*`: internal covariate shift of each layer (Santurkar et al. 2018, definition 2.1)."""

    layers: tuple[str, ...] = ()
    """Names of layers, or their places in the network from 1; empty: all but the first, which cannot shift. Each costs
    a gradient."""


class Features(When):
    """`probe/feature_*`: what the layers put out on the step's batch."""

    layers: tuple[str, ...] = ()
    """Names of layers, or their places in the network from 1; empty: all."""


class Path(Section):
    every_epochs: NonNegativeInt = 0
    """Epochs between weights kept in `path/`, the first and last among them, for surfaces along the way of training and
    for Hessians at its stages; 0: none."""


class Probe(Section):
    walk: Walk = Field(default_factory=Walk)
    drift: Drift = Field(default_factory=Drift)
    shift: Shift = Field(default_factory=Shift)
    features: Features = Field(default_factory=Features)
    path: Path = Field(default_factory=Path)
