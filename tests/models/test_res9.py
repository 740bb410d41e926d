"""Res9 and simp_Res9 against their forward passes written out."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models import build_model, sketch_model


@pytest.mark.parametrize(("stem", "parameters"), [((7,), 890_922), ((3, 3), 896_362), ((3, 3, 3), 905_642)])
def test_a_stem_adds_its_convolutions(stem: tuple[int, ...], parameters: int) -> None:
    assert sum(p.numel() for p in sketch_model("simp_res9", stem=stem).parameters()) == parameters


@pytest.mark.parametrize(
    ("name", "stem", "in_a_block"), [("res9", (3,), 2), ("simp_res9", (7,), 3), ("simp_res9", (5, 1, 3), 3)]
)
def test_logits_equal_those_of_the_forward_pass_written_out(name: str, stem: tuple[int, ...], in_a_block: int) -> None:
    torch.manual_seed(0)
    net = build_model(name, stem=stem).train()
    for p in net.parameters():
        if p.ndim == 1:
            nn.init.uniform_(p, 0.5, 1.5)  # the norms' scales and shifts
    left = iter(list(net.parameters()))

    def conv_norm(x: Tensor) -> Tensor:
        weight = next(left)
        x = F.conv2d(x, weight, padding=weight.shape[-1] // 2)
        return F.batch_norm(x, None, None, next(left), next(left), training=True)

    def residual(x: Tensor) -> Tensor:
        out = x
        for place in range(in_a_block):
            out = conv_norm(out.relu() if place else out)
        return (x + out).relu()

    images = x = torch.randn(4, 3, 32, 32)
    for _ in stem:
        x = conv_norm(x).relu()
    x = F.max_pool2d(conv_norm(x).relu(), 2)
    x = F.max_pool2d(conv_norm(x).relu(), 2)
    x = conv_norm(residual(x)).relu()
    x = residual(F.max_pool2d(conv_norm(x).relu(), 2))
    assert x.shape == (4, 256, 4, 4)
    torch.testing.assert_close(net(images), F.linear(x.flatten(1), next(left), next(left)), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", [8, 32, 64])
def test_images_may_have_any_size(size: int) -> None:
    images = torch.empty(2, 1, size, size, device="meta")
    assert sketch_model("res9", in_channels=1, num_classes=3)(images).shape == (2, 3)


@pytest.mark.parametrize("stem", [(), (4,), (3, 2), (0,), (-3,)])
def test_a_stem_of_impossible_kernels_is_named(stem: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"^stem=\[.*\]: should be one or more odd kernel sizes[^\n]*$"):
        sketch_model("simp_res9", stem=stem)
