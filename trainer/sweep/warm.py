"""What every child of a sweep needs, imported once: the parts of a run, and what they import only when used."""

import importlib.util

import torchvision.transforms.v2.functional  # noqa: F401 - by some augmentations

if importlib.util.find_spec("wandb"):  # a machine that only trains may lack it
    pass
