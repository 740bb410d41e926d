"""The size of a network, without running it: parameters, multiply-adds, memory of what a backward pass keeps."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from models.registry import build_model


def measure(name: str, *, image_size: int = 32, batch_size: int = 128, **arguments: Any) -> dict[str, int]:
    """parameters, trainable_parameters, macs (of one picture), activation_bytes (of a batch, float32)."""
    with torch.random.fork_rng(devices=[]):  # a measurement must not move the seed of a run
        model = build_model(name, **arguments).to("meta")
    channels = arguments.get("in_channels", 3)
    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        "trainable_parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "macs": count_macs(model, torch.empty(1, channels, image_size, image_size, device="meta")),
        "activation_bytes": saved_bytes(
            model, torch.empty(batch_size, channels, image_size, image_size, device="meta")
        ),
    }


def count_macs(model: nn.Module, images: Tensor) -> int:
    """Multiply-adds of convolutions and matrix products in one forward pass of `images` [N, C, H, W]."""
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        model.eval()(images)
    return counter.get_total_flops() // 2


def saved_bytes(model: nn.Module, images: Tensor) -> int:
    """Bytes that a forward pass in training keeps for the backward pass, parameters apart; each storage once."""
    own = {id(p) for p in model.parameters()}
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        if id(tensor) not in own:
            kept[tensor.untyped_storage()._cdata] = tensor.untyped_storage().nbytes()
        return tensor

    with saved_tensors_hooks(note, lambda tensor: tensor):
        logits = model.train()(images)  # alive until here: the ids of what it keeps are not given out again
    del logits
    return sum(kept.values())
