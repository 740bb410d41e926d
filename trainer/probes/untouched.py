"""Measurements that leave a network bit-identical."""

import contextlib
from collections.abc import Iterator

import torch
from torch import nn

from trainer.seeds import random_state, set_random_state


@contextlib.contextmanager
def untouched(model: nn.Module) -> Iterator[None]:
    """Restore weights, buffers, `.grad`, the modes of all modules and the shared generators at the end of the block.

    In the block every `.grad` is None, and a copy of weights and buffers is in memory.
    """
    tensors = [*model.parameters(), *model.buffers()]
    values = [tensor.detach().clone() for tensor in tensors]
    gradients = [(parameter, parameter.grad) for parameter in model.parameters()]
    modes = [(module, module.training) for module in model.modules()]
    device = tensors[0].device if tensors else torch.device("cpu")
    generators = random_state(device)
    for parameter, _ in gradients:
        parameter.grad = None
    try:
        yield
    finally:
        with torch.no_grad():
            for tensor, value in zip(tensors, values, strict=True):
                tensor.copy_(value)
        for parameter, gradient in gradients:
            parameter.grad = gradient
        for module, mode in modes:
            module.training = mode
        set_random_state(generators, device)
