"""The size of a network, without running it: parameters, multiply-adds, memory of what a backward pass keeps."""

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode


def measure(model: nn.Module, image_shape: tuple[int, int, int], *, batch_size: int = 128) -> dict[str, int]:
    """parameters, trainable_parameters, macs (of one image [C, H, W]), activation_bytes (of a batch, float32).

    `model` lies on the meta device, as `sketch_model` makes it.
    """
    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        "trainable_parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "macs": count_macs(model, torch.empty(1, *image_shape, device="meta")),
        "activation_bytes": saved_bytes(model, torch.empty(batch_size, *image_shape, device="meta")),
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
