"""SVHN, MNIST and Fashion-MNIST, from files in torchvision's formats."""

import gzip
import hashlib
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from data_refused import levels, load, refusal
from scipy.io import savemat
from torchvision.datasets import MNIST, SVHN, FashionMNIST

from trainer.config.data import FashionMnist, Mnist, Svhn
from trainer.data.sources import shape_of


@pytest.fixture
def small_svhn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The set in its own format, with 12 images a file, and torchvision's MD5s set to these files'."""
    listed = {}
    for part, seed in (("train", 0), ("test", 1)):
        name = f"{part}_32x32.mat"
        labels = np.arange(1, 13)[:, None] % 11 + (np.arange(1, 13)[:, None] > 10)  # 10 is the digit 0
        savemat(tmp_path / name, {"X": levels(32, 32, 3, 12, seed=seed), "y": labels.clip(1, 10).astype(np.uint8)})
        listed[part] = ["file:///nowhere/" + name, name, hashlib.md5((tmp_path / name).read_bytes()).hexdigest()]
    monkeypatch.setattr(SVHN, "split_list", listed)
    return tmp_path


def test_svhn_is_what_torchvision_reads(small_svhn: Path) -> None:
    ours = load(Svhn(name="svhn", root=small_svhn, download=False))
    for split, part in ((ours.train, "train"), (ours.test, "test")):
        theirs = SVHN(small_svhn, split=part)
        assert torch.equal(split.images, torch.from_numpy(np.ascontiguousarray(theirs.data)))
        assert split.labels.tolist() == theirs.labels.tolist()
    assert split.labels.max() <= 9 and ours.class_names[9] == "9"
    assert ours.mean == pytest.approx((ours.train.images.double() / 255).mean((0, 2, 3)).tolist())
    assert ours.std == pytest.approx((ours.train.images.double() / 255).std((0, 2, 3), correction=0).tolist())


def test_a_damaged_or_missing_svhn_is_named_and_left_alone(small_svhn: Path) -> None:
    path = small_svhn / "test_32x32.mat"
    path.write_bytes(b"damaged")
    assert f"{path} is damaged" in refusal(Svhn(name="svhn", root=small_svhn))
    assert path.read_bytes() == b"damaged"
    path.unlink()
    line = refusal(Svhn(name="svhn", root=small_svhn, download=False))
    for part in (f"no images in {small_svhn} (data.download=false)", "test_32x32.mat", "data.root=DIR", "shapes10"):
        assert part in line
    assert "download failed" in refusal(Svhn(name="svhn", root=small_svhn))
    (small_svhn / "train_32x32.mat").unlink()
    assert "Put train_32x32.mat, test_32x32.mat there" in refusal(Svhn(name="svhn", root=small_svhn, download=False))


def write_greys(folder: Path, files: type[MNIST], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write the four files with .gz, with 20 images each, and set torchvision's MD5s to these files'."""
    raw = folder / files.__name__ / "raw"
    raw.mkdir(parents=True)
    listed: list[tuple[str, str]] = []
    for name, magic, content in (
        ("train-images-idx3-ubyte", (2051, 20, 28, 28), levels(20, 28, 28)),
        ("train-labels-idx1-ubyte", (2049, 20), np.arange(20, dtype=np.uint8) % 10),
        ("t10k-images-idx3-ubyte", (2051, 20, 28, 28), levels(20, 28, 28, seed=1)),
        ("t10k-labels-idx1-ubyte", (2049, 20), np.arange(20, dtype=np.uint8) % 10),
    ):
        body = gzip.compress(struct.pack(f">{len(magic)}i", *magic) + content.tobytes(), mtime=0)
        (raw / f"{name}.gz").write_bytes(body)
        listed.append((f"{name}.gz", hashlib.md5(body).hexdigest()))
    monkeypatch.setattr(files, "resources", listed)
    monkeypatch.setattr(files, "mirrors", ["file:///nowhere/"])
    return raw


@pytest.mark.parametrize(
    ("data", "files", "fourth"), [(Mnist(name="mnist"), MNIST, "3"), (FashionMnist(), FashionMNIST, "Dress")]
)
def test_grey_sets_are_torchvisions_in_three_channels_with_a_border(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: Mnist | FashionMnist, files: type[MNIST], fourth: str
) -> None:
    raw = write_greys(tmp_path, files, monkeypatch)
    ours = load(data.model_copy(update={"root": tmp_path, "download": False}))  # unpacking is no download
    for split, train in ((ours.train, True), (ours.test, False)):
        theirs = files(tmp_path, train=train)
        assert split.images.shape == (20, 3, 32, 32)
        for channel in split.images.unbind(1):
            assert torch.equal(channel[:, 2:30, 2:30], theirs.data)
        border = split.images.clone()
        border[..., 2:30, 2:30] = 0
        assert not border.any()
        assert split.labels.tolist() == theirs.targets.tolist()
    assert ours.class_names[3] == fourth and ours.name == data.name
    assert ours.mean == pytest.approx((ours.train.images.double() / 255).mean((0, 2, 3)).tolist())
    (raw / "t10k-labels-idx1-ubyte").write_bytes(b"short")
    assert f"{raw / 't10k-labels-idx1-ubyte'} is damaged" in refusal(data.model_copy(update={"root": tmp_path}))

    def locked(_: str) -> torch.Tensor:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("trainer.data.torchvision_sets.read_image_file", locked)
    line = refusal(data.model_copy(update={"root": tmp_path}))
    assert line == f"{data.name}: {raw / 'train-images-idx3-ubyte'}: cannot be read: Permission denied"


def test_missing_greys_name_the_folder_the_files_and_the_ways_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = write_greys(tmp_path, MNIST, monkeypatch)
    zipped = raw / "train-images-idx3-ubyte.gz"
    zipped.write_bytes(b"damaged")
    assert f"{zipped} is damaged (its MD5" in refusal(Mnist(name="mnist", root=tmp_path))
    zipped.unlink()
    line = refusal(Mnist(name="mnist", root=tmp_path, download=False))
    for part in (f"no images in {raw} (data.download=false)", "t10k-labels-idx1-ubyte", "MNIST/raw", "--data shapes10"):
        assert part in line
    assert "download failed" in refusal(Mnist(name="mnist", root=tmp_path))


def test_their_sizes_are_known_without_files() -> None:
    shapes = [shape_of(each) for each in (Svhn(), Mnist(), FashionMnist())]
    assert [(shape.num_classes, shape.train_size) for shape in shapes] == [(10, 73_257), (10, 60_000), (10, 60_000)]
    assert all((shape.in_channels, shape.image_size) == (3, 32) for shape in shapes)
