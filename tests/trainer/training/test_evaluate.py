"""Accuracy and views, with a network whose answers are known."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from trainer.config import load_config
from trainer.config.train import Train
from trainer.data.batches import Normalize
from trainer.data.images import Split
from trainer.errors import ConfigError
from trainer.runs.folder import config_hash
from trainer.training.device import choose_compute
from trainer.training.evaluate import evaluate, evaluated_at_once, predict
from trainer.training.run import start_run
from trainer.training.trained import evaluate_trained

COMPUTE = choose_compute(Train(device="cpu", precision="float32"))
PLAIN = Normalize((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


class TopLeft(nn.Module):
    """Logits (red, green) of the top left pixel."""

    def forward(self, images: Tensor) -> Tensor:
        return images[:, :2, 0, 0]


def images(n: int = 7) -> Split:
    draw = torch.Generator().manual_seed(0)
    return Split(torch.randint(256, (n, 3, 6, 6), dtype=torch.uint8, generator=draw), torch.arange(n) % 2)


@pytest.mark.parametrize("tta", ["none", "hflip", "hflip_translate"])
def test_views_are_averaged_as_written(tta) -> None:
    split, net = images(), TopLeft()
    x = PLAIN(split.images)
    padded = nn.functional.pad(x, (1,) * 4, mode="reflect")

    def both(images: Tensor) -> Tensor:
        return (net(images) + net(images.flip(-1))) / 2

    expected = {
        "none": net(x),
        "hflip": both(x),
        "hflip_translate": both(x) / 2 + (both(padded[..., :6, :6]) + both(padded[..., 2:, 2:])) / 4,
    }[tta]
    plain, averaged = predict(net, split.images, PLAIN, COMPUTE, tta=tta, batch_size=3)
    torch.testing.assert_close(plain, net(x))
    torch.testing.assert_close(averaged, expected)


def test_views_that_images_of_one_pixel_do_not_have_are_one_line_at_the_start(tmp_path: Path) -> None:
    """Before: a traceback after the first epoch."""
    draw = np.random.default_rng(0)
    x, y = draw.integers(0, 255, (16, 1, 1, 3), dtype=np.uint8), np.arange(16) % 2
    np.savez(tmp_path / "one.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    words = ["data.name=npz", f"data.root={tmp_path}/one.npz", "data.image_size=1",
             "model.name=handmade_mlp", "model.hidden=[2]", "train.epochs=1", "train.batch_size=8", "train.device=cpu",
             "augment.crop.padding=0", "sink.wandb.mode=disabled", "sink.console.mode=off"]  # fmt: skip
    said = "^train.tta: hflip_translate moves images by a pixel, and these are 1x1; set none or hflip$"
    with pytest.raises(ConfigError, match=said):
        start_run(load_config([*words, "train.tta=hflip_translate"]).config, runs=tmp_path / "runs", name="views")
    run = start_run(load_config([*words, "train.tta=hflip"]).config, runs=tmp_path / "runs", name="mirror").folder
    assert [each.name for each in (tmp_path / "runs").iterdir()] == ["mirror"]
    with pytest.raises(ConfigError, match=said):
        evaluate_trained(run, {"train.tta": "hflip_translate"})


@pytest.mark.parametrize("tta", ["none", "hflip"])
def test_a_batch_has_no_more_than_all_images(tta) -> None:
    split, net = images(), TopLeft()
    whole = predict(net, split.images, PLAIN, COMPUTE, tta=tta)
    huge = predict(net, split.images, PLAIN, COMPUTE, tta=tta, tta_share=0.99, batch_size=10**23)
    for ours, theirs in zip(huge, whole, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_only_the_least_certain_images_get_more_views() -> None:
    split, net = images(10), TopLeft()
    plain, all_averaged = predict(net, split.images, PLAIN, COMPUTE, tta="hflip_translate")
    _, averaged = predict(net, split.images, PLAIN, COMPUTE, tta="hflip_translate", tta_share=0.25, batch_size=2)
    gaps = (plain[:, 0] - plain[:, 1]).abs()  # of two classes the smaller gap is the lower probability
    least = gaps.argsort()[:3]  # 2.5 images are 3
    rest = gaps.argsort()[3:]
    torch.testing.assert_close(averaged[least], all_averaged[least])
    assert torch.equal(averaged[rest], plain[rest])


@pytest.mark.parametrize(("share", "viewed"), [(0.07, 7), (0.071, 8), (0.29, 29), (1e-12, 1)])
def test_a_share_of_the_images_is_rounded_up_as_it_is_written(share: float, viewed: int) -> None:
    """Before: 0.07 of 100 images were 8, since 0.07 * 100 is 7.000000000000001."""
    seen: list[int] = []
    net = TopLeft()
    net.register_forward_hook(lambda _, inputs, __: seen.append(len(inputs[0])))
    predict(net, images(100).images, PLAIN, COMPUTE, tta="hflip", tta_share=share)
    assert seen == [100, viewed]


LOSS = nn.CrossEntropyLoss(reduction="none")


def test_loss_is_a_mean_and_accuracy_a_fraction() -> None:
    split, net = images(), TopLeft()
    evaluation = evaluate(net, split, PLAIN, LOSS, COMPUTE, tta="hflip", batch_size=2)
    plain, averaged = predict(net, split.images, PLAIN, COMPUTE, tta="hflip")
    assert evaluation.loss == pytest.approx(nn.functional.cross_entropy(averaged, split.labels).item(), rel=1e-5)
    assert evaluation.accuracy == pytest.approx((averaged.argmax(1) == split.labels).float().mean().item())
    assert evaluation.accuracy_plain == pytest.approx((plain.argmax(1) == split.labels).float().mean().item())


def test_the_network_stays_in_its_mode_and_dropout_is_off() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Dropout(0.9), nn.Linear(108, 2)).train()
    first, second = (evaluate(net, images(), PLAIN, LOSS, COMPUTE).metrics() for _ in range(2))
    assert first == second
    assert net.training
    assert first.keys() == {"loss", "accuracy"}


@pytest.mark.parametrize(
    ("device", "side", "size"),
    [
        ("cpu", 32, 500),
        ("cpu", 224, 500),
        ("meta", 28, 2500),
        ("meta", 32, 2500),
        ("meta", 64, 625),
        ("meta", 224, 500),
    ],
)
def test_a_gpu_evaluates_more_images_at_once_if_they_are_small(device: str, side: int, size: int) -> None:
    assert evaluated_at_once(torch.empty(10_000, 3, side, side, dtype=torch.uint8, device=device)) == size


def test_an_automatic_batch_of_an_evaluation_is_500_images_on_a_cpu() -> None:
    seen: list[int] = []
    net = TopLeft()
    net.register_forward_hook(lambda _, inputs, __: seen.append(len(inputs[0])))
    predict(net, images(1100).images, PLAIN, COMPUTE)
    predict(net, images(1100).images, PLAIN, COMPUTE, batch_size=700)
    assert seen == [500, 500, 100, 700, 400]


def test_runs_stored_with_another_batch_size_of_evaluations_are_of_the_same_configuration() -> None:
    automatic, stored = (load_config(words).config for words in ([], ["train.eval_batch_size=500"]))
    assert config_hash(automatic) == config_hash(stored)
