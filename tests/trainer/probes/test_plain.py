"""Every probe against a slow plain second implementation: copy the network, move its weights, run it backward."""

import copy
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from math import isfinite
from typing import Any

import pytest
import torch
from torch import Tensor, nn

GHOST = ["model.name=fastresnet9", "model.width=4", "model.ghost_size=4", "schedule.name=constant"]
HANDMADE = ["model.name=handmade_cnn", "model.channels=[4,6]", "model.dropout=0.3"]
VGG = ["model.name=vgg_a_bn", "model.width=4", "model.head_width=8", "model.dropout=0.5", "data.image_size=32"]
RUNS = {
    "ghost norm, summed loss": GHOST,
    "handmade norm and dropout, Adam": [*HANDMADE, "optimizer.name=adam"],
    "norm first, penalties": [
        *HANDMADE, 'model.order=["norm","linear","dropout","act"]', "loss.l1=1e-3", "loss.l2=0.01",
    ],
    "torch's norm and dropout, in two parts, clipped": [*VGG, "train.accumulate=2", "train.clip_grad_norm=0.5"],
    "Muon with Lookahead": [*HANDMADE, "optimizer.name=muon", "optimizer.lookahead.steps=2", "train.ema.decay=0.9"],
    "bfloat16": [*HANDMADE, "train.precision=bfloat16"],
}  # fmt: skip
close = pytest.approx


@pytest.fixture(params=RUNS.values(), ids=list(RUNS))
def overrides(request: pytest.FixtureRequest) -> list[str]:
    return request.param


def length(tensors: list[Tensor]) -> float:
    return sum(float(t.double().square().sum()) for t in tensors) ** 0.5


def between(a: list[Tensor], b: list[Tensor]) -> float:
    return length([x.double() - y.double() for x, y in zip(a, b, strict=True)])


def cosine(a: list[Tensor], b: list[Tensor]) -> float:
    return sum(float((x * y).sum()) for x, y in zip(a, b, strict=True)) / length(a) / length(b)


def agree(row: dict[str, float], wanted: dict[str, float]) -> None:
    assert {key: row[key] for key in wanted} == {key: close(value, rel=1e-5, abs=1e-6) for key, value in wanted.items()}


@pytest.mark.parametrize("every", [1, 2])
def test_drift(watch: Callable[..., Any], overrides: list[str], every: int) -> None:
    steps, rows = watch([*overrides, f"probe.drift.every={every}", "train.max_steps=4"])
    measured = [(seen, *seen.at(seen.parameters())) for seen in steps[::every]]
    agree(rows[0], {"runs/loss": measured[0][1], "runs/grad_norm": length(measured[0][2])})
    for (before, _, old), (now, loss, new) in pairwise(measured):
        wanted = {
            "runs/loss": loss,
            "runs/grad_norm": length(new),
            "runs/grad_distance": between(new, old),
            "runs/grad_cosine": cosine(new, old),
            "runs/lipschitz": between(new, old) / between(now.parameters(), before.parameters()),
            "runs/beta": between(new, old) / (before.lr * length(old)),
        }
        agree(rows[now.step], wanted)


@pytest.mark.parametrize(("every", "moved"), [(1, []), (2, [2])])
def test_weights_that_have_not_moved_have_no_ratio_to_the_way_they_went(
    watch: Callable[..., Any], every: int, moved: list[int]
) -> None:
    """The first step has the rate 0. Before: `runs/lipschitz` was infinite after it, which is null in a row."""
    words = [
        *HANDMADE,
        "schedule.name=linear",
        "schedule.start_factor=0",
        "schedule.final_factor=1",
        "train.max_steps=3",
    ]
    steps, rows = watch([*words, f"probe.drift.every={every}"])
    assert steps[0].lr == 0 < steps[1].lr
    assert "runs/grad_distance" in rows[every]
    assert "runs/beta" not in rows[every]
    assert ("runs/lipschitz" in rows[every]) == (every in moved)
    assert all(isfinite(value) for row in rows.values() for value in row.values())


def test_a_step_that_moves_no_weight_has_no_ratio_to_the_way_at_any_rate(watch: Callable[..., Any]) -> None:
    """A rate of 1e-30 is lost in float32. Before: `runs/lipschitz` was infinite."""
    _, rows = watch([*HANDMADE, "probe.drift.every=1", "optimizer.name=sgd", "optimizer.lr=1e-30", "train.max_steps=3"])
    assert "runs/grad_distance" in rows[1] and "runs/beta" in rows[1]
    assert not any("runs/lipschitz" in row for row in rows.values())


def test_a_gradient_of_zero_has_no_ratio_to_its_length(descend: Callable[..., Any], bowl: type) -> None:
    flat = bowl(torch.tensor(2.0), torch.tensor([0.0, 0.0]))
    rows = descend(flat, 0.1, 3, ["probe.drift.every=1"])
    assert "runs/grad_distance" in rows[1]
    assert not {"runs/beta", "runs/lipschitz"} & rows[1].keys()


def test_walk(watch: Callable[..., Any], overrides: list[str]) -> None:
    steps, rows = watch([*overrides, "probe.walk.every=2", "probe.walk.points=3", "train.max_steps=3"])
    for seen in steps[::2]:
        loss, g = seen.at(seen.parameters())
        longest = min(4 * seen.lr, 0.4)
        etas = [longest / 8, longest * 9 / 16, longest]
        losses, gradients = zip(*(
            seen.at([w - eta * x.float() for w, x in zip(seen.parameters(), g, strict=True)]) for eta in etas
        ), strict=True)  # fmt: skip
        moved = [between(list(there), g) for there in gradients]
        cosines = [cosine(there, g) for there in gradients]
        wanted = {
            "probe/loss": loss,
            "probe/loss_min": min(losses),
            "probe/loss_max": max(losses),
            "probe/grad_norm": length(g),
            "probe/grad_l2_min": min(moved),
            "probe/grad_l2_max": max(moved),
            "probe/grad_cosine_min": min(cosines),
            "probe/grad_cosine_max": max(cosines),
            "probe/beta": max(far / eta for far, eta in zip(moved, etas, strict=True)) / length(g),
            "probe/lipschitz": max(abs(at - loss) / eta for at, eta in zip(losses, etas, strict=True)) / length(g),
        }
        agree(rows[seen.step], wanted)


def test_shift(watch: Callable[..., Any], overrides: list[str]) -> None:
    """The next weights are those with which the run itself continues."""
    steps, rows = watch([*overrides, "probe.shift.at=[1,2]", "train.max_steps=3"])
    for seen in steps[1:]:
        names = [name for name, p in seen.model.named_parameters() if p.requires_grad]
        layers = [name for name, module in seen.model.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)]
        _, g = seen.at(seen.parameters())
        wanted: dict[str, float] = {}
        for layer in layers:
            own = [names.index(name) for name in (f"{layer}.weight", f"{layer}.bias") if name in names]
            if own and own[0]:
                _, shifted = seen.at([*seen.after[: own[0]], *seen.parameters()[own[0] :]])
                here, there = ([gradient[i] for i in own] for gradient in (g, shifted))
                wanted[f"probe/shift_l2/{layer}"] = between(there, here)
                wanted[f"probe/shift_cosine/{layer}"] = cosine(there, here)
        assert {key for key in rows[seen.step] if key.startswith("probe/shift")} == set(wanted)
        assert len(wanted) >= 4
        agree(rows[seen.step], wanted)


def test_features(watch: Callable[..., Any], overrides: list[str]) -> None:
    steps, rows = watch([*overrides, "probe.features.every=2", "train.max_steps=3"])
    before: dict[str, tuple[Tensor, Tensor]] = {}
    for seen in steps[::2]:
        seen.at(seen.parameters())  # leaves the generator in the state after the step's own pass
        outputs = outputs_of(copy.deepcopy(seen.model), seen.images)
        wanted: dict[str, float] = {}
        for name, output in outputs.items():
            channels = [output[:, c].double() for c in range(output.shape[1])]
            wanted[f"probe/feature_mean/{name}"] = output.double().mean().item()
            wanted[f"probe/feature_std/{name}"] = output.double().std(correction=0).item()
            wanted[f"probe/feature_dead/{name}"] = sum(bool((c <= 0).all()) for c in channels) / len(channels)
            mean = torch.stack([c.mean() for c in channels])
            std = torch.stack([(c.var(correction=0) + 1e-5).sqrt() for c in channels])
            if name in before:
                moved = (mean - before[name][0]).abs() / before[name][1]
                wanted[f"probe/feature_shift/{name}"] = moved.mean().item()
            before[name] = mean, std
        assert {key for key in rows[seen.step] if key.startswith("probe/feature")} == set(wanted)
        agree(rows[seen.step], wanted)


def outputs_of(net: nn.Module, images: Tensor) -> dict[str, Tensor]:
    outputs: dict[str, Tensor] = {}

    def keep(name: str, layer: nn.Module, given: Any, output: Any) -> None:
        outputs[name] = output.clone()

    for name, module in net.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(partial(keep, name))
    with torch.no_grad():
        net(images)
    return outputs
