"""Layers that neither torch nor timm has in the form that the papers use."""

from models.layers.ghost_norm import GhostBatchNorm2d
from models.layers.whitening import PatchWhitening

__all__ = ["GhostBatchNorm2d", "PatchWhitening"]
