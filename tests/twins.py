"""Networks that one builder makes, of other numbers than a smaller one: to try its code, the smaller one is enough."""

from typing import Any

import pytest

from models import model_names

TWINS = {
    "airbench95": "airbench94",
    "airbench96": "airbench94",
    "densenet121": "densenet100_bc",
    "resnet34": "resnet18",
    "resnet56": "resnet20",
    "resnet110": "resnet20",
    "resnext29_2x64d": "resnext29_2x32d",
    "resnext29_32x4d": "resnext29_2x32d",
    "vgg_b": "vgg_a",
    "vgg_d": "vgg_a",
    "vgg_e": "vgg_a",
    "wide_resnet28x10": "wide_resnet16x8",
}
EACH_CODE: list[Any] = [pytest.param(name, marks=pytest.mark.slow) if name in TWINS else name for name in model_names()]
"""All names for `parametrize`, of which only the smallest of each builder is fast."""
