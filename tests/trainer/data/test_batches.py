"""Batches against a plain second implementation, image by image."""

import pytest
import torch
from torch.nn import functional as F

from trainer.config.augment import Augment
from trainer.data.batches import Normalize, TrainingBatches, pad
from trainer.data.images import Split

N = 23


def some_images(n: int = N, size: int = 8) -> Split:
    draw = torch.Generator().manual_seed(1)
    return Split(torch.randint(256, (n, 3, size, size), dtype=torch.uint8, generator=draw), torch.arange(n))


def augment(padding: int = 2, mode: str = "zero", flip: str = "random") -> Augment:
    return Augment.model_validate({"crop": {"padding": padding, "mode": mode}, "flip": {"mode": flip}})


def test_an_epoch_holds_every_image_once_and_drops_nothing() -> None:
    batches = TrainingBatches(some_images(), augment(), batch_size=5, seed=0)
    labels = [labels for _, labels in batches.epoch(0)]
    assert [len(part) for part in labels] == [5, 5, 5, 5, 3]
    assert sorted(torch.cat(labels).tolist()) == list(range(N))
    assert batches.per_epoch == 5
    assert TrainingBatches(some_images(), augment(), batch_size=5, seed=0, drop_last=True).per_epoch == 4


def test_a_batch_larger_than_the_set_is_the_set() -> None:
    assert TrainingBatches(some_images(), augment(), batch_size=500, seed=0, drop_last=True).per_epoch == 1


@pytest.mark.parametrize("mode", ["zero", "reflect"])
@pytest.mark.parametrize("flip", ["random", "none"])
def test_each_image_is_a_crop_of_its_padded_self_or_mirror(mode: str, flip: str) -> None:
    split = some_images()
    images, labels = map(
        torch.cat, zip(*TrainingBatches(split, augment(2, mode, flip), batch_size=5, seed=3).epoch(7), strict=True)
    )
    seen: set[tuple[bool, int, int]] = set()
    for image, label in zip(images, labels, strict=True):
        source = split.images[label]
        padded = F.pad(source[None].float(), (2,) * 4, mode="constant" if mode == "zero" else "reflect")[0].byte()
        views = {
            (m, y, x): (padded.flip(-1) if m else padded)[:, y : y + 8, x : x + 8]
            for m in (False, True)
            for y in range(5)
            for x in range(5)
        }
        found = [key for key, view in views.items() if torch.equal(view, image)]
        assert found
        seen.add(found[0])
    assert len({(y, x) for _, y, x in seen}) > 5  # places are drawn
    assert {m for m, _, _ in seen} == ({False, True} if flip == "random" else {False})


def test_without_augmentation_the_images_are_the_set_s_own() -> None:
    split = some_images()
    for images, labels in TrainingBatches(split, augment(0, flip="none"), batch_size=5, seed=0).epoch(0):
        assert torch.equal(images, split.images[labels])


def test_batches_depend_on_seed_and_epoch_alone_and_can_start_in_the_middle() -> None:
    def epoch(seed: int, number: int, start: int = 0) -> list[torch.Tensor]:
        return [x for x, _ in TrainingBatches(some_images(), augment(), batch_size=5, seed=seed).epoch(number, start)]

    once = epoch(0, 4)
    torch.manual_seed(99)  # the global generator has no say
    for first, second in zip(once, epoch(0, 4), strict=True):
        assert torch.equal(first, second)
    for first, second in zip(once[3:], epoch(0, 4, start=3), strict=True):
        assert torch.equal(first, second)
    assert not torch.equal(once[0], epoch(0, 5)[0])
    assert not torch.equal(once[0], epoch(1, 4)[0])
    assert not torch.equal(epoch(1, 0)[0], epoch(0, 1)[0])


def test_batches_are_channels_last_in_memory() -> None:
    images, _ = next(TrainingBatches(some_images(), augment(), batch_size=5, seed=0).epoch(0))
    assert images.is_contiguous(memory_format=torch.channels_last)


def test_normalizing_gives_zero_mean_and_unit_variance() -> None:
    images = some_images(500).images
    shares = images.double() / 255
    mean, std = shares.mean((0, 2, 3)), shares.std((0, 2, 3), correction=0)
    out = Normalize(tuple(mean.tolist()), tuple(std.tolist()))(images)
    expected = ((shares - mean.view(-1, 1, 1)) / std.view(-1, 1, 1)).float()
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-5)


def test_reflecting_uint8_equals_reflecting_floats() -> None:
    images = some_images(3).images
    assert torch.equal(pad(images, 3, "reflect"), F.pad(images.float(), (3,) * 4, mode="reflect").byte())
