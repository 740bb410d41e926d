"""Layers that neither torch nor timm has in the form that the papers use, and layers by name."""

from models.layers.activation import Act, activation
from models.layers.dropout import check_rate, dropout_layer
from models.layers.gather_excite import Extent, GatherExcite, Theta
from models.layers.ghost_norm import GhostBatchNorm
from models.layers.handmade import HandmadeBatchNorm, HandmadeDropout
from models.layers.init import Init, Scheme, initialise
from models.layers.norm import Norm, NormLayer, batch_norms, norm_layer, set_norm_momentum
from models.layers.whitening import PatchWhitening

__all__ = [
    "Act",
    "Extent",
    "GatherExcite",
    "GhostBatchNorm",
    "HandmadeBatchNorm",
    "HandmadeDropout",
    "Init",
    "Norm",
    "NormLayer",
    "PatchWhitening",
    "Scheme",
    "Theta",
    "activation",
    "batch_norms",
    "check_rate",
    "dropout_layer",
    "initialise",
    "norm_layer",
    "set_norm_momentum",
]
