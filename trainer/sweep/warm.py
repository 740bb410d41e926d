"""Imports for every child of a sweep, made once: the parts of a run, and what they import when they are used."""

import contextlib
import importlib

MODULES = (
    "torch._dynamo",  # by timm and torch.compile
    "torchvision.transforms.v2.functional",  # by some augmentations
    "timm.layers",  # by networks and optimizers of timm's
    "trainer.training.run",
    "trainer.wandb_api.agent",
    "trainer.cli.main",  # with typer
    "trainer.sinks.wandb",
)

for _name in MODULES:
    with contextlib.suppress(ImportError):  # a machine that only trains may lack wandb
        importlib.import_module(_name)
