"""Closed forms: gradient descent in a bowl L(w) = sum of c w^2 / 2 has w(t) = (1 - lr c)^t w(0)."""

from collections.abc import Callable

import pytest
import torch

Rows = dict[int, dict[str, float]]
C, LR, W0 = torch.tensor([0.5, 2.0, 8.0]), 0.05, torch.tensor([3.0, -1.0, 0.25])


@pytest.mark.parametrize("curvature", [0.5, 2.0, 15.0])  # 15: every step crosses the minimum at this rate
def test_in_a_round_bowl_beta_and_the_ratio_are_its_curvature(
    descend: Callable[..., Rows], curvature: float, bowl: Callable[..., torch.nn.Module]
) -> None:
    lr, start = 0.1, torch.tensor([3.0, -4.0])
    rows = descend(bowl(torch.tensor(curvature), start), lr, 5, ["probe.drift.every=1", "probe.walk.every=1"])
    kept = 1 - lr * curvature
    for t in range(5):
        row, w = rows[t], 5.0 * abs(kept) ** t  # 5 = ||w(0)||
        assert row["runs/loss"] == pytest.approx(curvature * w**2 / 2, rel=1e-5)
        assert row["runs/grad_norm"] == pytest.approx(curvature * w, rel=1e-5)
        assert row["probe/beta"] == pytest.approx(curvature, rel=1e-4)
        if t:
            assert row["runs/beta"] == pytest.approx(curvature, rel=1e-4)
            assert row["runs/lipschitz"] == pytest.approx(curvature, rel=1e-4)
            assert row["runs/grad_distance"] == pytest.approx(lr * curvature**2 * w / abs(kept), rel=1e-4)
            assert row["runs/grad_cosine"] == pytest.approx(1.0 if kept > 0 else -1.0, rel=1e-6)


def test_in_a_bowl_of_several_curvatures_each_number_is_the_closed_forms(
    descend: Callable[..., Rows], bowl: Callable[..., torch.nn.Module]
) -> None:
    rows = descend(bowl(C, W0), LR, 7, ["probe.drift.every=3"])
    assert list(rows) == [0, 3, 6]
    w = {t: ((1 - LR * C.double()) ** t * W0.double()) for t in rows}
    g = {t: C.double() * w[t] for t in rows}
    assert set(rows[0]) == {"runs/loss", "runs/grad_norm"}
    for before, t in ((0, 3), (3, 6)):
        moved = (g[t] - g[before]).norm()
        wanted = {
            "runs/loss": (C.double() * w[t] ** 2 / 2).sum(),
            "runs/grad_norm": g[t].norm(),
            "runs/grad_distance": moved,
            "runs/grad_cosine": g[t] @ g[before] / g[t].norm() / g[before].norm(),
            "runs/beta": moved / (LR * g[before].norm()),
            "runs/lipschitz": moved / (w[t] - w[before]).norm(),
        }
        assert rows[t] == pytest.approx({key: value.item() for key, value in wanted.items()}, rel=1e-5)


def test_along_the_gradient_loss_and_gradient_are_the_closed_forms(
    descend: Callable[..., Rows], bowl: Callable[..., torch.nn.Module]
) -> None:
    row = descend(bowl(C, W0), LR, 1, ["probe.walk.at=[0]", "probe.walk.points=5"])[0]
    c, w = C.double(), W0.double()
    g = c * w
    etas = [LR * each for each in (0.5, 1.375, 2.25, 3.125, 4.0)]
    losses = [(c * (w - eta * g) ** 2 / 2).sum() for eta in etas]
    there = [c * (w - eta * g) for eta in etas]
    moved = [(each - g).norm() for each in there]
    cosines = [each @ g / each.norm() / g.norm() for each in there]
    here = (c * w**2 / 2).sum()
    wanted = {
        "probe/loss": here,
        "probe/loss_min": min(losses),
        "probe/loss_max": max(losses),
        "probe/grad_norm": g.norm(),
        "probe/grad_l2_min": min(moved),
        "probe/grad_l2_max": max(moved),
        "probe/grad_cosine_min": min(cosines),
        "probe/grad_cosine_max": max(cosines),
        "probe/beta": (c * g).norm() / g.norm(),
        "probe/lipschitz": max(abs(loss - here) / (eta * g.norm()) for loss, eta in zip(losses, etas, strict=True)),
    }
    assert row == pytest.approx({key: value.item() for key, value in wanted.items()}, rel=1e-5)


def test_the_walk_is_never_longer_than_the_longest_step_of_its_config(
    descend: Callable[..., Rows], bowl: Callable[..., torch.nn.Module]
) -> None:
    overrides = ["probe.walk.at=[0]", "probe.walk.max_step=0.2", "probe.walk.points=2"]
    row = descend(bowl(torch.tensor(1.0), torch.tensor([1.0])), 0.1, 1, overrides)[0]
    losses = [(1 - eta) ** 2 / 2 for eta in (0.025, 0.2)]  # 4 * 0.1 would be 0.4; the first is an eighth of the longest
    assert (row["probe/loss_max"], row["probe/loss_min"]) == pytest.approx(losses, rel=1e-6)


def test_the_walk_uses_the_reference_rate_of_its_config(
    descend: Callable[..., Rows], bowl: Callable[..., torch.nn.Module]
) -> None:
    overrides = ["probe.walk.at=[0]", "probe.walk.reference_lr=0.01", "probe.walk.points=2"]
    row = descend(bowl(torch.tensor(1.0), torch.tensor([1.0])), 0.1, 1, overrides)[0]
    losses = [(1 - eta) ** 2 / 2 for eta in (0.005, 0.04)]
    assert (row["probe/loss_max"], row["probe/loss_min"]) == pytest.approx(losses, rel=1e-6)
