"""What holds for every network by name: its published size, its shape, its gradient, and that it can be trained."""

import re
from typing import get_args

import pytest
import torch
from torch import nn

from models import Network, build_model, entry, measure, model_names, parameters_of, sketch_model
from trainer.data.shapes10 import draw_shapes10

EVERY = pytest.mark.parametrize("name", model_names())


@EVERY
def test_the_parameter_count_is_the_published_one(name: str) -> None:
    """Exactly where a report prints it exactly, at the printed precision elsewhere."""
    count, published = measure(sketch_model(name), (3, 32, 32))["parameters"], entry(name).published
    if in_millions := re.fullmatch(r"\d+\.(\d+)M", published):
        assert f"{count / 1e6:.{len(in_millions[1])}f}M" == published
    elif published.endswith("MB"):  # saved float32: 4 bytes a number and about 295 a tensor, in MiB
        state = sketch_model(name).state_dict().values()
        mib = (4 * sum(value.numel() for value in state) + 295 * len(state)) / 2**20
        assert f"{mib:.{len(published.split('.')[1]) - 3}f} MB" == published
    elif published.endswith("%"):  # of vgg_a; printed is what no layers reach
        added = count / measure(sketch_model("vgg_a"), (3, 32, 32))["parameters"] - 1
        assert (published, f"{added:+.4%}", entry(name).settled) == ("+0.067%", "+0.0564%", False)
    elif published:
        assert f"{count:,}" == published


@EVERY
@pytest.mark.parametrize("number", [1, 3, 10])
def test_any_number_of_channels_and_classes(name: str, number: int) -> None:
    net = sketch_model(name, in_channels=number, num_classes=number)
    assert net.eval()(torch.empty(1, number, 32, 32, device="meta")).shape == (1, number)


@EVERY
def test_features_then_head_is_the_network(name: str) -> None:
    net, images = sketch_model(name).eval(), torch.empty(2, 3, 32, 32, device="meta")
    assert isinstance(net, Network)
    *_, last = net.feature_maps(images).values()
    assert last.shape == net.forward_features(images).shape
    net.head = nn.Flatten()  # a new head
    assert net(images).shape == (2, last.numel() // 2)


@EVERY
def test_its_choices_by_name_change_what_is_built(name: str) -> None:
    takes = parameters_of(name)
    assert {"act", "init"} <= takes.keys()
    prelus = [layer for layer in sketch_model(name, act="prelu").modules() if isinstance(layer, nn.PReLU)]
    assert prelus
    for norm in get_args(takes["norm"].annotation) if "norm" in takes else ():
        logits = sketch_model(name, norm=norm)(torch.empty(2, 3, 32, 32, device="meta"))
        assert logits.shape == (2, 10)


@EVERY
def test_gradient_evaluation_and_state(name: str) -> None:
    """On four images: gradient reaches every trainable parameter, in bfloat16 too; evaluation repeats, alone and
    channels last too; a state dict carries over."""
    torch.manual_seed(0)
    images = torch.randn(4, 3, 32, 32)
    net = build_model(name).train()
    for dtype in (torch.float32, torch.bfloat16):
        net.zero_grad()
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            logits = net(images)
        assert logits.isfinite().all()
        nn.functional.cross_entropy(logits.float(), torch.arange(4)).backward()
        trained = [(key, p.grad) for key, p in net.named_parameters() if p.requires_grad]
        assert [key for key, grad in trained if grad is None or not grad.any()] == []
    net.eval()
    other = build_model(name).eval()
    other.load_state_dict(net.state_dict())
    with torch.no_grad():
        logits = net(images)
        torch.testing.assert_close(net(images), logits, rtol=0, atol=0)
        torch.testing.assert_close(other(images), logits, rtol=0, atol=0)
        torch.testing.assert_close(net(images[:1]), logits[:1], rtol=1e-4, atol=1e-4)
        net.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        last = net(images.contiguous(memory_format=torch.channels_last))
        torch.testing.assert_close(last, logits, rtol=1e-3, atol=1e-3)


@pytest.mark.slow
@EVERY
def test_it_compiles_as_one_graph_to_the_same_numbers(name: str) -> None:
    """With autograd's graph traced and run as it is; Inductor's kernels are torch's own affair."""
    torch.manual_seed(0)
    torch.compiler.reset()
    net, images = build_model(name).eval(), torch.randn(2, 3, 32, 32)
    compiled = torch.compile(net, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(images), net(images), rtol=1e-4, atol=1e-4)
    net.train()
    compiled(images).sum().backward()
    assert all(p.grad is not None for p in net.parameters() if p.requires_grad)


@pytest.mark.slow
@EVERY
def test_a_hundred_steps_on_shapes10_lower_the_loss(name: str) -> None:
    torch.manual_seed(0)
    net, train = build_model(name).train(), draw_shapes10(1600, 10).train
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3)
    losses: list[float] = []
    for step in range(100):
        now = slice(16 * step, 16 * (step + 1))
        loss = nn.functional.cross_entropy(net(train.images[now] / 128 - 1), train.labels[now])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    first, last = sum(losses[:20]) / 20, sum(losses[-20:]) / 20
    print(f"{name}: {first:.3f} -> {last:.3f}")
    assert last < first
