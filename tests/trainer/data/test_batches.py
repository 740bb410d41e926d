"""Batches against a plain second implementation, image by image."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice, product
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms.v2 import functional as T

from trainer.config.augment import Augment, Cutmix, Cutout, Mixup, RandAugment
from trainer.data.augment.auto import auto_augment
from trainer.data.augment.color import color_jitter
from trainer.data.augment.erase import erasing
from trainer.data.augment.mix import mixing
from trainer.data.augment.stage import Epoch
from trainer.data.batches import Normalize, TrainingBatches
from trainer.data.crops import pad
from trainer.data.images import Split
from trainer.data.side_by_side import side_by_side
from trainer.data.steps import Steps
from trainer.errors import ConfigError
from trainer.seeds import generator

N = 23
CHOICES: dict[str, dict[str, Any]] = {
    "crop and flip": {},
    "no flip": {"flip": {"mode": "none"}},
    "alternating flip": {"flip": {"mode": "alternating"}},
    "random erasing": {"erasing": {"name": "random", "probability": 1}},
    "cutout": {"erasing": {"name": "cutout", "size": 3, "fill": "zero"}},
    "color_jitter": {"color_jitter": {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1}},
    "mixup": {"mix": {"name": "mixup"}},
    "cutmix": {"mix": {"name": "cutmix"}},
    "trivial_augment_wide": {"auto": {"name": "trivial_augment_wide"}},
    "rand_augment": {"auto": {"name": "rand_augment"}},
    "intensity": {"intensity": {"brightness": 0.2, "contrast": 0.3}},
}


def some_images(n: int = N, size: int = 8, channels: int = 3) -> Split:
    draw = torch.Generator().manual_seed(1)
    return Split(torch.randint(256, (n, channels, size, size), dtype=torch.uint8, generator=draw), torch.arange(n))


def chosen(choice: str, seed: int = 0, channels: int = 3, ahead: bool | None = None, **more: Any) -> TrainingBatches:
    config = Augment.model_validate({"crop": {"padding": 2}} | CHOICES[choice] | more)
    mean = (0.5, 0.4, 0.3)[:channels]
    split, steps = some_images(channels=channels), Steps(N, 5)
    return TrainingBatches(split, config, steps=steps, seed=seed, num_classes=N, mean=mean, std=mean, ahead=ahead)


def augment(padding: int = 2, mode: str = "zero", flip: str = "random") -> Augment:
    return Augment.model_validate({"crop": {"padding": padding, "mode": mode}, "flip": {"mode": flip}})


def test_an_epoch_holds_every_image_once_and_drops_nothing() -> None:
    batches = TrainingBatches(some_images(), augment(), steps=Steps(N, 5), seed=0)
    labels = [labels for _, labels in batches.epoch(0)]
    assert [len(part) for part in labels] == [5, 5, 5, 5, 3]
    assert sorted(torch.cat(labels).tolist()) == list(range(N))
    assert batches.steps.in_epoch(0) == 5
    assert TrainingBatches(some_images(), augment(), steps=Steps(N, 5, drop_last=True), seed=0).steps.in_epoch(0) == 4


def test_a_batch_larger_than_the_set_is_the_set() -> None:
    assert TrainingBatches(some_images(), augment(), steps=Steps(N, 500, drop_last=True), seed=0).steps.in_epoch(0) == 1


@pytest.mark.parametrize("mode", ["zero", "reflect"])
@pytest.mark.parametrize("flip", ["random", "none"])
def test_each_image_is_a_crop_of_its_padded_self_or_mirror(mode: str, flip: str) -> None:
    split = some_images()
    images, labels = map(
        torch.cat, zip(*TrainingBatches(split, augment(2, mode, flip), steps=Steps(N, 5), seed=3).epoch(7), strict=True)
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
    for images, labels in TrainingBatches(split, augment(0, flip="none"), steps=Steps(N, 5), seed=0).epoch(0):
        assert torch.equal(images, split.images[labels])


@pytest.mark.parametrize("mode", ["zero", "reflect"])
def test_crop_and_flip_equal_torchvision_s_for_the_same_draws(mode: str) -> None:
    split = some_images()
    draw = generator(3, "epoch", 7)
    order, flips = torch.randperm(N, generator=draw), torch.randint(2, (N,), generator=draw)
    rows, columns = torch.randint(5, (2, N), generator=draw)
    batches = TrainingBatches(split, augment(2, mode), steps=Steps(N, 5), seed=3)
    images, labels = map(torch.cat, zip(*batches.epoch(7), strict=True))
    for image, label, i, mirrored, row, column in zip(images, labels, order, flips, rows, columns, strict=True):
        padded = T.pad(split.images[i], [2] * 4, padding_mode="constant" if mode == "zero" else mode)
        top, left = int(row), int(column)
        # The mirror is cropped, where torchvision mirrors the crop: the same crop counted from the other side.
        expected = T.crop(padded, top, 4 - left if mirrored else left, 8, 8)
        assert label == split.labels[i]
        assert torch.equal(image, T.horizontal_flip(expected) if mirrored else expected)
    assert torch.equal(batches.order(7), order)


def test_alternating_flips_are_drawn_once_an_image_and_turned_over_every_epoch() -> None:
    split = some_images()
    config = augment(0, flip="alternating")

    def mirrored(seed: int, epoch: int) -> Tensor:
        """[N], by image: 1 where it is its mirror."""
        images, labels = map(
            torch.cat, zip(*TrainingBatches(split, config, steps=Steps(N, 5), seed=seed).epoch(epoch), strict=True)
        )
        plain = images[labels.argsort()]
        is_mirror = [torch.equal(image, source.flip(-1)) for image, source in zip(plain, split.images, strict=True)]
        assert all(m or torch.equal(i, source) for m, i, source in zip(is_mirror, plain, split.images, strict=True))
        return torch.tensor(is_mirror)

    first = mirrored(0, 0)
    assert 0 < first.sum() < N
    assert not torch.equal(first, mirrored(1, 0))
    for epoch in range(1, 5):
        assert torch.equal(mirrored(0, epoch), first ^ (epoch % 2 == 1))


@pytest.mark.parametrize("choice", CHOICES)
def test_batches_depend_on_seed_epoch_and_number_alone_and_can_start_in_the_middle(choice: str) -> None:
    def epoch(seed: int, number: int, start: int = 0) -> list[tuple[Tensor, Tensor]]:
        return list(chosen(choice, seed).epoch(number, start))

    once = epoch(0, 4)
    torch.manual_seed(99)  # the global generator has no say
    for first, second in zip([*once, *once[3:]], [*epoch(0, 4), *epoch(0, 4, start=3)], strict=True):
        assert torch.equal(first[0], second[0])
        assert torch.equal(first[1], second[1])
    assert not torch.equal(once[0][0], epoch(0, 5)[0][0])
    assert not torch.equal(once[0][0], epoch(1, 4)[0][0])
    assert not torch.equal(epoch(1, 0)[0][0], epoch(0, 1)[0][0])


@pytest.mark.parametrize("choice", CHOICES)
def test_batches_made_side_by_side_are_those_made_in_turn(choice: str, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = torch.get_num_threads()
    try:
        with monkeypatch.context() as patch:
            patch.setattr(torch, "get_num_threads", lambda: 2)
            beside = [*chosen(choice).epoch(3, start=1)]
    finally:
        torch.set_num_threads(threads)  # the pipeline has restored the 2 that it saw
    monkeypatch.setattr("trainer.data.batches.side_by_side", map)
    in_turn = [*chosen(choice).epoch(3, start=1)]
    assert len(beside) == len(in_turn) == 4
    for (images, targets), (others, theirs) in zip(beside, in_turn, strict=True):
        assert torch.equal(images, others) and torch.equal(targets, theirs)
        assert images.stride() == others.stride()


def test_large_batches_are_made_side_by_side_only_with_jitter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Before: compiled jitter left all cores but one idle for a batch of more than 682 images."""
    beside: list[int] = []

    def seen(make: Callable[[int], tuple[Tensor, Tensor]], numbers: range) -> Iterator[tuple[Tensor, Tensor]]:
        beside.append(len(numbers))
        return map(make, numbers)

    monkeypatch.setattr("trainer.data.batches.side_by_side", seen)
    monkeypatch.setattr("trainer.data.batches._SMALL", 0)
    for choice in ("cutout", "color_jitter"):
        assert len([*chosen(choice).epoch(0)]) == 5
    assert beside == [5]


def test_jitter_is_compiled_before_any_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or the first run of a process would be charged two seconds for it."""
    asked: list[torch.device] = []
    monkeypatch.setattr("trainer.data.batches.changes_on", asked.append)
    chosen("crop and flip")
    assert not asked
    chosen("color_jitter")
    assert [device.type for device in asked] == ["cpu"]


def test_batches_made_side_by_side_leave_the_number_of_threads_as_it_was() -> None:
    threads = torch.get_num_threads()

    def broken(number: int) -> tuple[Tensor, Tensor]:
        raise ValueError(number)

    for _ in chosen("color_jitter").epoch(0):
        assert torch.get_num_threads() == threads == threads_of_a_new_thread()
    with pytest.raises(ValueError, match="0"):
        next(side_by_side(broken, range(4)))
    assert torch.get_num_threads() == threads == threads_of_a_new_thread()


def threads_of_a_new_thread() -> int:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(torch.get_num_threads).result()


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("side", [{}, {"pixels": [6, 7, 8], "from_epochs": [0, 1, 3]}], ids=["", "growing"])
def test_draws_made_ahead_are_those_made_in_time(choice: str, side: dict[str, Any]) -> None:
    """Also of epochs that are read twice, out of order, from the middle, in part, or side by side."""
    ahead, in_time = (chosen(choice, ahead=ahead, side=side) for ahead in (True, False))
    for epoch, start, stop in [(0, 0, 9), (1, 0, 9), (1, 0, 9), (2, 2, 9), (3, 0, 1), (4, 0, 2), (5, 0, 9), (0, 4, 9)]:
        found, expected = (
            [*islice(each.epoch(epoch, start), stop), *(each.epoch(epoch + 1) if epoch == 4 else ())]
            for each in (ahead, in_time)
        )
        assert len(found) == len(expected) == min(stop, 5 - start) + 5 * (epoch == 4)
        assert_same(found, expected)
    outer, inner = ahead.epoch(5), ahead.epoch(6)
    mixed = [*zip(outer, inner, strict=True)]
    assert_same([batch for batch, _ in mixed], [*in_time.epoch(5)])
    assert_same([batch for _, batch in mixed], [*in_time.epoch(6)])


def assert_same(found: list[tuple[Tensor, Tensor]], expected: list[tuple[Tensor, Tensor]]) -> None:
    for (images, targets), (others, theirs) in zip(found, expected, strict=True):
        assert torch.equal(images, others) and torch.equal(targets, theirs)


def drawing_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("draws")]


def test_the_next_epoch_is_drawn_in_a_thread_that_ends_with_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    batches, drawn = chosen("cutout", ahead=True), dict[int, str]()
    draw = batches._draw
    monkeypatch.setattr(
        batches, "_draw", lambda epoch: drawn.setdefault(epoch, threading.current_thread().name) and draw(epoch)
    )
    reader = batches.epoch(0)
    next(reader)
    assert not drawing_threads()  # who takes one batch only
    next(reader)
    assert drawing_threads()
    assert len([*reader]) == 3
    assert not drawing_threads()
    assert drawn == {0: "MainThread", 1: "draws_0"}
    reader = batches.epoch(1)
    assert len([*islice(reader, 2)]) == 2
    del reader  # as at the end of a run
    assert not drawing_threads()
    assert drawn == {0: "MainThread", 1: "draws_0", 2: "draws_0"}


def test_an_epoch_that_is_read_twice_is_drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before: SWA's pass over the next epoch threw its draws away, and the training thread made them again."""
    batches, drawn = chosen("cutout", ahead=True), list[int]()
    draw = batches._draw
    monkeypatch.setattr(batches, "_draw", lambda epoch: drawn.append(epoch) or draw(epoch))
    for epoch in (0, 1, 1, 2):
        assert len([*batches.epoch(epoch)]) == 5
    assert drawn == [0, 1, 2, 3]


def test_an_error_in_drawing_ahead_surfaces_where_the_draws_are_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    batches = chosen("cutout", ahead=True)
    draw = batches._draw

    def broken(epoch: int) -> Any:
        if epoch == 2:
            raise ArithmeticError("epoch 2")
        return draw(epoch)

    monkeypatch.setattr(batches, "_draw", broken)
    assert [len([*batches.epoch(epoch)]) for epoch in (0, 1)] == [5, 5]
    with pytest.raises(ArithmeticError, match="epoch 2"):
        next(batches.epoch(2))
    assert len([*batches.epoch(3)]) == 5
    assert not drawing_threads()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("choice", CHOICES)
def test_batches_have_the_types_and_the_memory_format_they_promise(choice: str, channels: int) -> None:
    sizes: list[int] = []
    for images, targets in chosen(choice, channels=channels).epoch(0):
        sizes.append(len(images))
        assert images.shape == (len(images), channels, 8, 8)
        assert images.is_contiguous(memory_format=torch.channels_last)
        assert images.dtype == (torch.float32 if choice in ("mixup", "intensity") else torch.uint8)
        assert choice == "intensity" or (images.min() >= 0 and images.max() <= 255)
        if choice in ("mixup", "cutmix"):
            assert (targets.shape, targets.dtype) == ((len(images), N), torch.float32)
            torch.testing.assert_close(targets.sum(1), torch.ones(len(images)))
        else:
            assert (targets.shape, targets.dtype) == ((len(images),), torch.int64)
    assert sizes == [5, 5, 5, 5, 3]


def test_the_order_is_crop_and_flip_then_auto_color_jitter_erasing_mix() -> None:
    """As in torchvision's reference training. Each draws on its own, so that one more moves no other's draws."""
    settings: dict[str, Any] = {"crop": {"padding": 2}}
    for name in ("rand_augment", "color_jitter", "cutout", "cutmix"):
        settings |= CHOICES[name]
    config = Augment.model_validate(settings)
    assert isinstance(config.auto, RandAugment)
    assert isinstance(config.erasing, Cutout)
    assert isinstance(config.mix, Mixup | Cutmix)
    mean = (0.5, 0.4, 0.3)

    def epoch(purpose: str) -> Epoch:
        return Epoch(generator(0, purpose, 6), N, 5, 8, 8, torch.device("cpu"))

    changes = [
        auto_augment(config.auto, epoch("auto")),
        color_jitter(config.color_jitter, epoch("color_jitter")),
        erasing(config.erasing, mean, epoch("erasing")),
    ]
    mix = mixing(config.mix, N, epoch("mix"))
    found = TrainingBatches(some_images(), config, steps=Steps(N, 5), seed=0, num_classes=N, mean=mean).epoch(6)
    for at, ((images, labels), (augmented, targets)) in enumerate(
        zip(chosen("crop and flip").epoch(6), found, strict=True)
    ):
        for change in changes:
            images = change(at, images)
        images, labels = mix(at, images, labels)
        assert torch.equal(images, augmented)
        assert torch.equal(labels, targets)


def test_intensity_is_a_factor_and_a_summand_of_each_normalised_image() -> None:
    mean, std = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)
    config = Augment.model_validate({"crop": {"padding": 2}, "intensity": {"brightness": 0.3, "contrast": 0.2}})
    normalize = Normalize(mean, std)
    changed = TrainingBatches(some_images(), config, steps=Steps(N, 5), seed=0, mean=mean, std=std)
    factors: list[float] = []
    summands: list[float] = []
    for (images, _), (plain, _) in zip(changed.epoch(2), chosen("crop and flip").epoch(2), strict=True):
        for after, before in zip(normalize(images), normalize(plain), strict=True):
            x = torch.stack([before.flatten(), torch.ones(before.numel())], dim=1)
            (factor, summand), *_ = torch.linalg.lstsq(x, after.flatten())
            torch.testing.assert_close(after, factor * before + summand, rtol=1e-4, atol=1e-4)
            factors.append(factor.item())
            summands.append(summand.item())
    assert 0.8 <= min(factors) < 0.9 and 1.1 < max(factors) <= 1.2
    assert -0.3 <= min(summands) < -0.2 and 0.2 < max(summands) <= 0.3


def test_growing_images_are_the_whole_image_scaled_as_torchvision_does() -> None:
    config = {"crop": {"padding": 0}, "flip": {"mode": "none"}, "side": {"pixels": [4, 6, 8], "from_epochs": [0, 1, 3]}}
    batches = TrainingBatches(some_images(), Augment.model_validate(config), steps=Steps(N, 5), seed=0)
    for epoch, side in [(0, 4), (1, 6), (2, 6), (3, 8), (9, 8), (0, 4)]:  # back again, as a probe or a preview may go
        for images, labels in batches.epoch(epoch):
            assert images.shape[2:] == (side, side)
            sources = some_images().images[labels]
            expected = T.resize(sources.float(), [side, side], antialias=True).round().byte()
            assert torch.equal(images, expected)
            assert images.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("side", "said"),
    [
        ({"pixels": [4, 6], "from_epochs": [0]}, "2 sides but 1 epochs; give one epoch a side"),
        ({"pixels": [4, 6], "from_epochs": [1, 2]}, r"from_epochs must start at 0 and rise, got \[1, 2\]"),
        ({"pixels": [4, 6], "from_epochs": [0, 0]}, r"from_epochs must start at 0 and rise, got \[0, 0\]"),
        ({"pixels": [4, 9], "from_epochs": [0, 1]}, "augment.side.pixels: 9: the images are 8 pixels wide"),
    ],
)
def test_sides_that_make_no_sense_are_refused_in_a_line(side: dict[str, Any], said: str) -> None:
    with pytest.raises((ValueError, ConfigError), match=said):
        TrainingBatches(some_images(), Augment.model_validate({"side": side}), steps=Steps(N, 5), seed=0)


@pytest.mark.parametrize(
    ("choice", "missing"), [("cutout", "mean"), ("mixup", "number of classes"), ("intensity", "mean and std")]
)
def test_what_a_choice_needs_to_know_is_asked_for_at_once(choice: str, missing: str) -> None:
    with pytest.raises(ValueError, match=missing):
        TrainingBatches(some_images(), Augment.model_validate(CHOICES[choice]), steps=Steps(N, 5), seed=0)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_normalizing_gives_zero_mean_and_unit_variance(dtype: torch.dtype, memory_format: torch.memory_format) -> None:
    images = some_images(500).images
    shares = images.double() / 255
    mean, std = shares.mean((0, 2, 3)), shares.std((0, 2, 3), correction=0)
    expected = ((shares - mean.view(-1, 1, 1)) / std.view(-1, 1, 1)).float()
    normalize = Normalize(tuple(mean.tolist()), tuple(std.tolist()))
    out = normalize(images.to(dtype, memory_format=memory_format))
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-5)
    assert out.is_contiguous(memory_format=memory_format)
    torch.testing.assert_close(normalize(images.to(dtype), torch.channels_last), out)


def test_normalizing_images_of_other_sides_and_layouts_in_turn() -> None:
    """It keeps its constants in the layout of the last batch."""
    mean, std, formats = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4), (torch.channels_last, torch.contiguous_format)
    normalize = Normalize(mean, std)
    centre, spread = (torch.tensor(values).view(-1, 1, 1) for values in (mean, std))
    for side, memory_format in [*product((8, 6), formats), *product((8, 6), formats)]:
        images = some_images(5).images[..., :side, :side].contiguous(memory_format=memory_format)
        torch.testing.assert_close(normalize(images), (images / 255 - centre) / spread, rtol=1e-5, atol=1e-5)


def test_reflecting_uint8_equals_reflecting_floats() -> None:
    images = some_images(3).images
    assert torch.equal(pad(images, 3, "reflect"), F.pad(images.float(), (3,) * 4, mode="reflect").byte())


def test_the_shapes_of_a_run_are_in_the_order_of_their_first_batch() -> None:
    """23 images: two batches of 10 and one of 3, which the run may end before, or leave out."""

    def shapes(steps: int, *, drop_last: bool = False, **augment: Any) -> list[tuple[int, ...]]:
        batches = TrainingBatches(some_images(), Augment.model_validate(augment), steps=Steps(N, 10, drop_last), seed=0)
        seen = [tuple(images.shape) for epoch in range(3) for images, _ in batches.epoch(epoch)][:steps]
        assert list(dict.fromkeys(seen)) == batches.shapes(steps)
        return batches.shapes(steps)

    assert shapes(9) == shapes(3) == [(10, 3, 8, 8), (3, 3, 8, 8)]
    assert shapes(2) == shapes(6, drop_last=True) == [(10, 3, 8, 8)]
    grows: dict[str, Any] = {"side": {"pixels": [6, 7], "from_epochs": [0, 2]}}
    assert shapes(9, **grows) == [(10, 3, 6, 6), (3, 3, 6, 6), (10, 3, 7, 7), (3, 3, 7, 7)]
    assert shapes(4, drop_last=True, **grows) == [(10, 3, 6, 6)]
