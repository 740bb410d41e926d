"""A batch on the device is the CPU's, as docs/architecture.md promises: to the bit where its numbers are whole."""

import pytest
import torch
from on_device import config_of
from torch import Tensor

from trainer.data.batches import TrainingBatches
from trainer.data.crops import pad
from trainer.data.sources import load_image_set
from trainer.data.steps import Steps

pytestmark = pytest.mark.gpu

JITTER = "augment.color_jitter"
EQUAL = {
    "crop and flip": [],
    "reflected": ["augment.crop.mode=reflect"],
    "flips in turn": ["augment.flip.mode=alternating"],
    "neither": ["augment.crop.padding=0", "augment.flip.mode=none"],
    "erasing": ["augment.erasing.name=random"],
    "cutout": ["augment.erasing.name=cutout"],
    "brightness": [f"{JITTER}.brightness=0.4"],
    "intensity": ["augment.intensity.brightness=0.3", "augment.intensity.contrast=0.3"],
    "cutmix": ["augment.mix.name=cutmix"],
}
NEARLY = {  # a sum of products decides which way a number is rounded, and a GPU rounds it once
    "hue": [f"{JITTER}.hue=0.2"],
    "contrast": [f"{JITTER}.contrast=0.4"],
    "saturation": [f"{JITTER}.saturation=0.4"],
    "all of jitter": [f"{JITTER}.{name}=0.2" for name in ("brightness", "contrast", "saturation", "hue")],
    "one operation": ["augment.auto.name=trivial_augment_wide"],
    "two operations": ["augment.auto.name=rand_augment"],
}


def second_batch(words: list[str], place: str) -> tuple[Tensor, Tensor]:
    """Return images and targets of the second batch of epoch 1, made on a device, on the CPU."""
    if any(word.startswith(JITTER) for word in words):
        pytest.importorskip("numba", reason="a machine lent for an hour may lack what changes colours on its CPU")
    config = config_of(words)
    image_set = load_image_set(config.data, seed=0)
    batches = TrainingBatches(
        image_set.train.to(torch.device(place)), config.augment, steps=Steps(len(image_set.train), 256), seed=0,
        num_classes=image_set.num_classes, mean=image_set.mean, std=image_set.std,
    )  # fmt: skip
    images, targets = next(batches.epoch(1, start=1))
    assert images.device.type == targets.device.type == place
    assert images.is_contiguous(memory_format=torch.channels_last)
    return images.cpu(), targets.cpu()


@pytest.mark.parametrize("words", EQUAL.values(), ids=EQUAL.keys())
def test_a_batch_has_the_bits_of_the_cpu_s(words: list[str], few_images: list[str], device: str) -> None:
    (images, targets), (expected, classes) = (second_batch([*few_images, *words], each) for each in (device, "cpu"))
    assert torch.equal(images, expected)
    torch.testing.assert_close(targets, classes)  # the shares of cutmix are float32


@pytest.mark.parametrize("words", NEARLY.values(), ids=NEARLY.keys())
def test_at_most_one_pixel_of_a_thousand_differs_from_the_cpu_s(
    words: list[str], few_images: list[str], device: str
) -> None:
    (images, targets), (expected, classes) = (second_batch([*few_images, *words], each) for each in (device, "cpu"))
    assert images.dtype == expected.dtype == torch.uint8
    assert (images != expected).any(1).float().mean() <= 1e-3
    assert torch.equal(targets, classes)


def test_another_side_is_the_cpu_s_to_a_level(few_images: list[str], device: str) -> None:
    """From 32 pixels to 24 a fiftieth of the values lies halfway between two levels."""
    words = [*few_images, "augment.side.pixels=[24]", "augment.side.from_epochs=[0]"]
    (images, targets), (expected, classes) = (second_batch(words, each) for each in (device, "cpu"))
    apart = (images.int() - expected.int()).abs()
    assert apart.max() <= 1 and (apart > 0).float().mean() <= 0.03
    assert torch.equal(targets, classes)


def test_mixup_is_the_cpu_s_to_rounding(few_images: list[str], device: str) -> None:
    words = [*few_images, "augment.mix.name=mixup"]
    for found, expected in zip(second_batch(words, device), second_batch(words, "cpu"), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("mode", ["zero", "reflect"])
def test_bytes_are_padded_as_on_the_cpu(mode: str, device: str) -> None:
    images = torch.arange(2 * 3 * 8 * 8).remainder(256).to(torch.uint8).view(2, 3, 8, 8)
    assert torch.equal(pad(images.to(device), 4, mode).cpu(), pad(images, 4, mode))
