"""Networks for 32x32 images. torch and timm only: no config, no files, no W&B."""

from models import (
    airbench,
    alexnet,
    densenet,
    handmade,
    lenet,
    res9,
    resnet,
    resnet9,
    resnext,
    small_cnn,
    vgg,
    wide_resnet,
)
from models.from_timm import timm_names
from models.measure import layers_in_use, measure
from models.network import Network
from models.registry import (
    SET_BY_DATA,
    TIMM,
    Entry,
    build_model,
    entry,
    model_names,
    parameters_of,
    register,
    sketch_model,
)

__all__ = [
    "SET_BY_DATA",
    "TIMM",
    "Entry",
    "Network",
    "airbench",
    "alexnet",
    "build_model",
    "densenet",
    "entry",
    "handmade",
    "layers_in_use",
    "lenet",
    "measure",
    "model_names",
    "parameters_of",
    "register",
    "res9",
    "resnet",
    "resnet9",
    "resnext",
    "sketch_model",
    "small_cnn",
    "timm_names",
    "vgg",
    "wide_resnet",
]
