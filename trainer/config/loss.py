"""`loss`: what is minimised."""

from typing import Literal

from pydantic import Field

from trainer.config.base import Section


class CrossEntropy(Section):
    name: Literal["cross_entropy"] = "cross_entropy"
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Weight of the uniform distribution in the target (Szegedy et al. 2016, section 7)."""
    reduction: Literal["mean", "sum"] = "mean"
    """Over a batch, for the gradient. Logged losses are means either way."""


Loss = CrossEntropy
