"""Second test sets: what is read, and what is refused before a run."""

from pathlib import Path

import numpy as np
import pytest
import torch
from data_refused import levels
from second_test_files import write_corrupted, write_new_test, write_npz

from trainer.config import load_config
from trainer.config.data import Cifar10, Shapes10
from trainer.data.images import ImageSet, Split
from trainer.data.second_tests import CORRUPTIONS, second_tests
from trainer.errors import ConfigError, DataError


def trained_on(classes: int = 10, channels: int = 3, side: int = 32) -> ImageSet:
    """A set of one image, as far as second tests look at it."""
    one = Split(torch.zeros(1, channels, side, side, dtype=torch.uint8), torch.tensor([0]))
    return ImageSet("cifar10", tuple(map(str, range(classes))), (0.5,), (0.5,), one, one)


def refusals(root: Path, *also: str, trained: ImageSet | None = None) -> tuple[str, ...]:
    with pytest.raises(DataError) as caught:
        second_tests(Cifar10(root=root, also_test=also), trained or trained_on())
    return caught.value.problems


def test_cifar10_1_is_its_two_arrays(tmp_path: Path) -> None:
    write_new_test(tmp_path)
    (test,) = second_tests(Cifar10(root=tmp_path, also_test=("cifar10.1",)), trained_on())
    ((part, split),) = test.splits()
    assert (test.name, part, test.corrupted) == ("cifar10.1", "", False)
    assert torch.equal(split.images.permute(0, 2, 3, 1), torch.from_numpy(levels(20, 32, 32, 3)))
    assert split.labels.tolist() == [*range(10)] * 2


def test_cifar10_c_is_read_a_corruption_at_a_time(tmp_path: Path) -> None:
    write_corrupted(tmp_path)
    data = Shapes10(also_test=(), also_root=tmp_path)
    (test,) = second_tests(data.model_copy(update={"also_test": ("cifar10-c",)}), trained_on())
    read = test.splits()
    (tmp_path / "CIFAR-10-C" / "zoom_blur.npy").unlink()  # the last, which is not read yet
    assert next(read)[0] == "brightness"
    parts = dict(second_tests_of(tmp_path))
    assert set(parts) == {*CORRUPTIONS, "spatter"} and test.corrupted
    number = CORRUPTIONS.index("fog")
    assert torch.equal(parts["fog"].images.permute(0, 2, 3, 1), torch.from_numpy(levels(50, 32, 32, 3, seed=number)))
    assert parts["fog"].labels.tolist() == [*range(10)] * 5


def second_tests_of(root: Path) -> list[tuple[str, Split]]:
    """CIFAR-10-C, written again."""
    np.save(root / "CIFAR-10-C" / "zoom_blur.npy", levels(50, 32, 32, 3))
    (test,) = second_tests(Cifar10(also_test=("cifar10-c",), also_root=root), trained_on())
    return [*test.splits()]


def test_a_file_of_another_side_is_resized_and_has_its_own_name(tmp_path: Path) -> None:
    path = write_npz(tmp_path / "photos.npz", classes=10, count=20, side=40)
    (test,) = second_tests(Cifar10(also_test=(str(path),)), trained_on(side=16))
    ((_, split),) = test.splits()
    assert test.name == "photos" and split.images.shape == (20, 3, 16, 16)


def test_files_that_are_not_there_are_lines_with_their_paths(tmp_path: Path) -> None:
    (line,) = refusals(tmp_path, "~nobody-here/photos.npz")  # before: a traceback
    assert line.startswith("data.also_test: ~nobody-here/photos.npz: no such home directory")
    said = refusals(tmp_path, "cifar10.1", "cifar10-c", f"{tmp_path}/photos.npz")
    assert len(said) == 3 and all(line.startswith("data.also_test: ") for line in said)
    for line, parts in zip(
        said,
        (
            (f"{tmp_path}/cifar10.1_v6_data.npy: No such file", "also_root=DIR"),
            (f"{tmp_path}/CIFAR-10-C/labels.npy: No such file", "CIFAR-10-C.tar"),
            (f"{tmp_path}/photos.npz: cannot be read: No such file",),
        ),
        strict=True,
    ):
        assert all(part in line for part in parts)


def test_other_classes_channels_and_shapes_are_lines(tmp_path: Path) -> None:
    write_corrupted(write_new_test(tmp_path))
    path = write_npz(tmp_path / "photos.npz", classes=3)
    both = refusals(tmp_path, "cifar10.1", "cifar10-c", str(path), trained=trained_on(classes=100))
    assert [line.partition(" has ")[2] for line in both] == [
        "10 classes, but cifar10 has 100",
        "10 classes, but cifar10 has 100",
        "3 classes, but cifar10 has 100",
    ]
    with np.load(path) as content:
        np.savez(path, **content, class_names=np.array([*"abcdefghij"]))  # it has only some of the classes
    assert len(second_tests(Cifar10(also_test=(str(path),)), trained_on())) == 1
    for names, said in (
        ("1032456789", "has the classes of cifar10 in another order; number them as there"),
        ("abc", "3 classes, but a label is 4"),  # before: an IndexError at the end of the run
    ):
        write_npz(path, classes=5, class_names=np.array([*names]))
        assert said in refusals(tmp_path, str(path))[0]
    (line,) = refusals(tmp_path, "cifar10.1", trained=trained_on(channels=1))
    assert "cifar10.1 has 3 channels, but the training images have 1" in line
    folder = tmp_path / "CIFAR-10-C"
    np.save(folder / "fog.npy", levels(10, 32, 32, 3))
    assert "fog.npy: uint8 [10, 32, 32, 3], not uint8 [5 N, 32, 32, 3]" in refusals(tmp_path, "cifar10-c")[0]
    (folder / "fog.npy").write_bytes(b"damaged")
    assert "fog.npy: is damaged" in refusals(tmp_path, "cifar10-c")[0]
    (folder / "fog.npy").write_bytes(path.read_bytes())  # several arrays
    assert "fog.npy: is damaged, or no .npy file" in refusals(tmp_path, "cifar10-c")[0]
    np.save(folder / "labels.npy", np.arange(0))
    assert "labels.npy: no labels" in refusals(tmp_path, "cifar10-c")[0]
    np.save(folder / "labels.npy", np.arange(50) % 10)
    for name in ("fog", "snow"):
        (folder / f"{name}.npy").unlink()
    assert "has no fog.npy, snow.npy" in refusals(tmp_path, "cifar10-c")[0]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["data.also_test=[cifar10.2]"], "data.also_test: 'cifar10.2' is no second test set; cifar10.1, cifar10-c or"),
        (["data.also_test=cifar10.1"], "data.also_test: 'cifar10.1' is not a list; write data.also_test=[cifar10.1]"),
        (["data.also_test=[a/x.npz,b/x.npz]"], "data.also_test: two sets are called 'x'; rename a file"),
        (["data.also_test=[cifar10.1,cifar10.1]"], "data.also_test: 'cifar10.1' is in the list twice"),
        (
            ["data.name=cifar100", "data.also_test=[cifar10-c]"],
            "also_test=[cifar10-c] has the classes of CIFAR-10, and",
        ),
    ],
)
def test_mistakes_in_the_key_are_one_line(words: list[str], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(words)
    (line,) = caught.value.problems
    assert said in line
