"""Networks for 32x32 pictures. torch (and timm, for `timm/NAME`) only: no config, no files, no W&B."""

from models import resnet, resnet9
from models.measure import measure
from models.registry import build_model, check_arguments, describe, model_names, register

__all__ = ["build_model", "check_arguments", "describe", "measure", "model_names", "register", "resnet", "resnet9"]
