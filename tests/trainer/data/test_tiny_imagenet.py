"""Tiny ImageNet in its own layout, and folders with val/ for test/."""

import re
import shutil
from pathlib import Path

import pytest
import torch
from data_refused import load, refusal
from PIL import Image
from torchvision.datasets import ImageFolder

from trainer.config.data import Folder
from trainer.data.sources import shape_of
from trainer.errors import UserError

CRANES = {"n01443537": "goldfish, Carassius auratus", "n02012849": "crane", "n03126707": "crane"}


@pytest.fixture
def tiny_imagenet(tmp_path: Path) -> Path:
    """Tiny ImageNet in its own layout, with three classes, one 8x8 image of each for val and two for train."""
    root = tmp_path / "tiny-imagenet-200"
    for number, wnid in enumerate(CRANES):
        images = root / "train" / wnid / "images"
        images.mkdir(parents=True)
        for i in range(2):
            Image.new("RGB", (8, 8), (40 * number, i, 0)).save(images / f"{wnid}_{i}.JPEG", format="PNG")
        (root / "train" / wnid / f"{wnid}_boxes.txt").write_text(f"{wnid}_0.JPEG\t0\t0\t7\t7\n")
    (root / "val" / "images").mkdir(parents=True)
    lines: list[str] = []
    for number, wnid in enumerate(reversed(CRANES)):
        Image.new("RGB", (8, 8), (40 * (2 - number), 9, 0)).save(
            root / "val" / "images" / f"val_{number}.JPEG", format="PNG"
        )
        lines.append(f"val_{number}.JPEG\t{wnid}\t0\t0\t7\t7\n")
    (root / "val" / "val_annotations.txt").write_text("".join(lines))
    (root / "test" / "images").mkdir(parents=True)  # without classes, so it is not read
    (root / "test" / "images" / "test_0.JPEG").write_text("no image")
    (root / "words.txt").write_text("n00001740\tentity\n" + "".join(f"{k}\t{v}\n" for k, v in CRANES.items()))
    return root


def test_tiny_imagenet_is_read_as_it_is_distributed(tiny_imagenet: Path) -> None:
    ours = load(Folder(name="folder", root=tiny_imagenet, image_size=8))
    assert ours.class_names == ("goldfish", "crane (n02012849)", "crane (n03126707)")
    assert ours.train.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert ours.train.images[:, :2, 0, 0].tolist() == [[0, 0], [0, 1], [40, 0], [40, 1], [80, 0], [80, 1]]
    assert ours.test.labels.tolist() == [0, 1, 2]
    assert ours.test.images[:, :2, 0, 0].tolist() == [[0, 9], [40, 9], [80, 9]]
    assert shape_of(Folder(name="folder", root=tiny_imagenet, image_size=8)).train_size == 6
    theirs = ImageFolder(tiny_imagenet / "train", is_valid_file=lambda path: path.endswith("JPEG"))
    assert theirs.targets == ours.train.labels.tolist()


def test_one_class_is_too_few_for_tiny_imagenet_too(tiny_imagenet: Path) -> None:
    for wnid in [*CRANES][1:]:
        shutil.rmtree(tiny_imagenet / "train" / wnid)
    annotations = tiny_imagenet / "val" / "val_annotations.txt"
    annotations.write_text(annotations.read_text().splitlines()[-1])
    line = refusal(Folder(name="folder", root=tiny_imagenet, image_size=8))
    assert line == f"folder: {tiny_imagenet}/train has 1 class folders; two or more classes are needed"


def test_a_class_without_a_word_is_called_by_its_id(tiny_imagenet: Path) -> None:
    (tiny_imagenet / "words.txt").write_text("n01443537\t\nn02012849\tcrane\n")
    ours = load(Folder(name="folder", root=tiny_imagenet, image_size=8))
    assert ours.class_names == ("n01443537", "crane", "n03126707")


def test_mistakes_in_tiny_imagenet_are_lines(tiny_imagenet: Path) -> None:
    data, annotations = (
        Folder(name="folder", root=tiny_imagenet, image_size=8),
        tiny_imagenet / "val/val_annotations.txt",
    )
    right = annotations.read_text()
    annotations.write_text(right.replace("n01443537", "n99999999"))
    with pytest.raises(UserError) as caught:
        load(data)
    assert [re.sub(r"^.*class ", "", line) for line in caught.value.problems] == [
        "'n01443537' is in train but not in val/val_annotations.txt",
        "'n99999999' is in val/val_annotations.txt but not in train",
    ]
    annotations.write_text(right + "val_3.JPEG n01443537\n")
    assert "line 4: 'val_3.JPEG n01443537' is no file name, tab and class" in refusal(data)
    annotations.write_text(right.replace("val_0", "val_7"))
    assert "val_7.JPEG cannot be read" in refusal(data)


def test_val_is_the_test_set_where_there_is_no_other(image_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(image_folder, tmp_path / "set", ignore=shutil.ignore_patterns(".*"))
    before = load(Folder(name="folder", root=tmp_path / "set", image_size=8))
    (tmp_path / "set" / "test").rename(tmp_path / "set" / "val")
    after = load(Folder(name="folder", root=tmp_path / "set", image_size=8))
    assert torch.equal(after.test.images, before.test.images)
