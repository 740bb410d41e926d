"""What every child of a sweep needs, imported once: the parts of a run, and what they import only when used."""

import contextlib
import importlib

MODULES = (
    "torch._dynamo",  # by the first optimizer
    "torchvision.transforms.v2.functional",  # by some augmentations
    "trainer.run",  # with the networks, and timm
    "trainer.checks",
    "trainer.sinks.wandb",
)

for _name in MODULES:
    with contextlib.suppress(ImportError):  # a machine that only trains may lack wandb
        importlib.import_module(_name)
