"""The pipeline against torchvision's under a DataLoader: the requirement of issue 4, and what the numbers mean."""

import os

import pytest
import torch

from trainer.bench.data import bench_data
from trainer.bench.rounds import as_text
from trainer.config.train import Train
from trainer.data.images import ImageSet, Split
from trainer.training.device import choose_compute


def noise(n: int) -> ImageSet:
    images = torch.randint(256, (n, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    split = Split(images, torch.arange(n) % 10)
    return ImageSet("noise", tuple("abcdefghij"), (0.5,) * 3, (0.29,) * 3, split, split)


def test_the_ratio_is_to_the_faster_side_of_the_other_ones() -> None:
    found = bench_data(noise(96), choose_compute(Train(device="cpu")), batch_size=32, rounds=1, images=32, workers=0)
    for name in ("crop_flip", "full"):
        row = {column: each["median"] for column, each in found["measured"][name].items()}
        ours, v1, v2, ratio = row.values()
        assert list(row) == ["ours images/s", "v1 images/s", "v2 images/s", "ratio"]
        assert ratio == pytest.approx(ours / max(v1, v2))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # what Python and torch say of forking workers on a small machine
def test_the_pipeline_is_twenty_times_as_fast_as_torchvision_v2_under_two_workers() -> None:
    """Its transforms on PIL images are faster than v2 where colours change; docs/lab-notes.md has that ratio, too."""
    torch.set_num_threads(os.cpu_count() or 1)  # the suite's other tests run on one
    found = bench_data(noise(20_000), choose_compute(Train()))
    print(as_text(found))
    median = {name: {column: each["median"] for column, each in row.items()} for name, row in found["measured"].items()}
    assert median["crop_flip"]["ratio"] >= 20
    assert median["full"]["ours images/s"] >= 20 * median["full"]["v2 images/s"]
    assert median["full"]["ratio"] >= 12
