"""Every source through the one door, `load_image_set`: what it gives, and what it says of missing or damaged files."""

import hashlib
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import data_refused
import numpy as np
import pytest
import torch
from command_line import run_here
from PIL import Image
from torchvision.datasets import CIFAR10

from trainer.config import load_config
from trainer.config.data import Cifar10, Folder, Shapes10
from trainer.data.images import Split
from trainer.data.preview import write_preview
from trainer.data.sources import load_image_set, shape_of
from trainer.data.subset import hold_out, take
from trainer.errors import ConfigError, DataError, DiskError

PER_FILE = 20


@pytest.fixture
def small_cifar10(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The set in its own layout and format, with 20 images a file, and torchvision's MD5s set to these files'."""
    folder = tmp_path / CIFAR10.base_folder
    folder.mkdir()
    draw = np.random.default_rng(0)

    def write(name: str, content: dict[str, object]) -> tuple[str, str]:
        body = pickle.dumps(content, protocol=2)
        (folder / name).write_bytes(body)
        return name, hashlib.md5(body).hexdigest()

    def batch(name: str) -> tuple[str, str]:
        pixels = draw.integers(256, size=(PER_FILE, 3072), dtype=np.uint8)
        return write(name, {"data": pixels, "labels": [i % 10 for i in range(PER_FILE)]})

    monkeypatch.setattr(CIFAR10, "train_list", [batch(f"data_batch_{i}") for i in range(1, 6)])
    monkeypatch.setattr(CIFAR10, "test_list", [batch("test_batch")])
    name, md5 = write("batches.meta", {"label_names": [f"class {k}" for k in range(10)]})
    monkeypatch.setattr(CIFAR10, "meta", {"filename": name, "key": "label_names", "md5": md5})
    return tmp_path


def test_cifar10_is_what_torchvision_reads(small_cifar10: Path) -> None:
    ours = load_image_set(Cifar10(root=small_cifar10, download=False), seed=0)
    for split, train in ((ours.train, True), (ours.test, False)):
        theirs = CIFAR10(small_cifar10, train=train)
        assert torch.equal(split.images.permute(0, 2, 3, 1), torch.from_numpy(theirs.data))
        assert split.labels.tolist() == theirs.targets
    assert (ours.train.images.dtype, ours.train.labels.dtype) == (torch.uint8, torch.int64)
    assert ours.class_names[3] == "class 3"
    assert (ours.mean, ours.std) == ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))


@pytest.mark.parametrize("harm", ["cut", "flip", "remove"])
def test_a_damaged_file_is_named_and_left_alone(small_cifar10: Path, harm: str) -> None:
    path = small_cifar10 / CIFAR10.base_folder / "data_batch_3"
    body = path.read_bytes()
    match harm:
        case "cut":
            path.write_bytes(body[:1000])
        case "flip":
            path.write_bytes(body[:2000] + bytes([body[2000] ^ 1]) + body[2001:])
        case _:
            path.unlink()
    before = sorted((p.name, p.stat().st_size) for p in path.parent.iterdir())
    with pytest.raises(DataError) as caught:
        load_image_set(Cifar10(root=small_cifar10), seed=0)
    (line,) = caught.value.problems
    assert "data_batch_3" in line
    assert "data_batch_2" not in line
    assert sorted((p.name, p.stat().st_size) for p in path.parent.iterdir()) == before


def test_without_files_and_network_one_line_says_where_and_the_ways_out(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        load_image_set(Cifar10(root=tmp_path / "nowhere", download=False), seed=0)
    (line,) = caught.value.problems
    for part in (str(tmp_path / "nowhere" / CIFAR10.base_folder), "data.root=DIR", CIFAR10.url, "--data shapes10"):
        assert part in line


def test_a_folder_gives_what_its_files_hold_and_remembers_it(image_folder: Path, tmp_path: Path) -> None:
    root = tmp_path / "copy"
    shutil.copytree(image_folder, root, ignore=shutil.ignore_patterns(".*"))
    first = load_image_set(Folder(name="folder", root=root, image_size=8), seed=0)
    assert first.class_names == ("bright", "dark")
    files = sorted((root / "train" / "bright").iterdir())
    expected = np.stack([np.asarray(Image.open(path)) for path in files]).transpose(0, 3, 1, 2)
    assert torch.equal(first.train.images[:24], torch.from_numpy(expected.copy()))
    cache = root / ".cifar-sweeps-8.pt"
    written = cache.stat().st_mtime_ns
    again = load_image_set(Folder(name="folder", root=root, image_size=8), seed=0)
    assert torch.equal(again.train.images, first.train.images)
    assert cache.stat().st_mtime_ns == written
    Image.new("RGB", (8, 8), "red").save(files[0])  # a changed image is seen
    changed = load_image_set(Folder(name="folder", root=root, image_size=8), seed=0)
    assert changed.train.images[0, :, 0, 0].tolist() == [255, 0, 0]


def test_images_of_any_size_and_mode_become_rgb_squares(image_folder: Path, tmp_path: Path) -> None:
    root = tmp_path / "copy"
    shutil.copytree(image_folder, root, ignore=shutil.ignore_patterns(".*"))
    place = root / "train" / "bright"
    Image.new("L", (40, 10), 200).save(place / "grey.png")
    Image.new("P", (5, 9)).save(place / "palette.gif")
    Image.new("RGBA", (12, 12), (0, 0, 0, 0)).save(place / "glass.png")
    Image.new("RGB", (64, 48), "blue").save(place / "photo.jpg")
    images = load_image_set(Folder(name="folder", root=root, image_size=16), seed=0).train.images
    assert images.shape[1:] == (3, 16, 16)
    by_name = dict(zip([p.name for p in sorted(place.iterdir())], images, strict=False))
    assert by_name["grey.png"].unique().tolist() == [200]
    assert by_name["glass.png"].unique().tolist() == [255]  # transparent is white


@pytest.mark.parametrize(
    ("name", "white"), [("a.pgm", 65535), ("a.pgm", 1023), ("a.pgm", 255), ("a.png", 65535), ("a.tif", 65535)]
)
def test_greys_of_any_depth_become_the_same_greys_of_8_bits(tmp_path: Path, name: str, white: int) -> None:
    for split in ("train", "test"):
        for each in ("cat", "dog"):
            write_images(tmp_path / split / each)
    path = tmp_path / "train" / "cat" / name  # after 0.png and 1.png
    greys = np.repeat(np.array([[0, white // 4, white // 2, white]]), 4, axis=0)
    if name.endswith("pgm"):
        path.write_bytes(b"P5 4 4 %d\n" % white + greys.astype(">u2" if white > 255 else "u1").tobytes())
    else:
        Image.fromarray(greys.astype(np.uint16)).save(path)
    images = load_image_set(Folder(name="folder", root=tmp_path, image_size=4), seed=0).train.images
    assert images[2, :, 0].tolist() == [[0, 63, 127, 255]] * 3


def test_pixels_of_32_bits_are_refused(tmp_path: Path) -> None:
    for split in ("train", "test"):
        for each in ("cat", "dog"):
            write_images(tmp_path / split / each)
    Image.fromarray(np.zeros((4, 4), np.int32)).save(tmp_path / "train" / "cat" / "a.tif")
    with pytest.raises(DataError, match=r"a\.tif cannot be read: pixels of mode I \(32 bits a pixel\)"):
        load_image_set(Folder(name="folder", root=tmp_path, image_size=4), seed=0)


def test_all_unreadable_images_are_listed_at_once(image_folder: Path, tmp_path: Path) -> None:
    root = tmp_path / "copy"
    shutil.copytree(image_folder, root, ignore=shutil.ignore_patterns(".*"))
    (root / "train" / "dark" / "notes.txt").write_text("no image")
    cut = root / "test" / "dark" / "0.png"
    cut.write_bytes(cut.read_bytes()[:60])
    with pytest.raises(DataError) as caught:
        load_image_set(Folder(name="folder", root=root, image_size=8), seed=0)
    assert len(caught.value.problems) == 2
    assert "notes.txt" in str(caught.value)
    assert "0.png" in str(caught.value)


def test_another_layout_is_told_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\.root/train/CLASS/\*"):
        load_image_set(Folder(name="folder", root=tmp_path, image_size=8), seed=0)
    for split, names in (("train", "ab"), ("test", "bc")):
        for name in names:
            (tmp_path / split / name).mkdir(parents=True)
            Image.new("RGB", (8, 8)).save(tmp_path / split / name / "0.png")
    with pytest.raises(DataError) as caught:
        load_image_set(Folder(name="folder", root=tmp_path, image_size=8), seed=0)
    assert len(caught.value.problems) == 2  # class a is missing in test, class c in train


def write_images(folder: Path, count: int = 2) -> None:
    folder.mkdir(parents=True)
    for i in range(count):
        Image.new("RGB", (8, 8), (i, 0, 0)).save(folder / f"{i}.png")


def refusal(root: Path) -> str:
    """The one line that a folder data set is refused with, by reading and by counting alike."""
    with pytest.raises(DataError) as caught:
        load_image_set(Folder(name="folder", root=root, image_size=8), seed=0)
    with pytest.raises(DataError) as counted:
        shape_of(Folder(name="folder", root=root, image_size=8))
    (line,) = caught.value.problems
    assert counted.value.problems == (line,)
    return line


def test_fewer_than_two_classes_are_refused_with_the_folder_that_looks_right(tmp_path: Path) -> None:
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            write_images(tmp_path / "deep" / split / "images" / name)
        write_images(tmp_path / "single" / split / "cat")
        (tmp_path / "empty" / split).mkdir(parents=True)
    line = refusal(tmp_path / "deep")
    assert "only one class folder, 'images'; two or more classes are needed" in line
    assert f"{tmp_path}/deep/train/images looks like the folder of classes" in line
    assert refusal(tmp_path / "single").endswith("only one class folder, 'cat'; two or more classes are needed")
    assert "no class folders" in refusal(tmp_path / "empty")


def test_a_root_beside_the_right_one_is_refused_with_the_right_one(image_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(image_folder, tmp_path / "outer" / "inner")
    for near in (tmp_path / "outer", tmp_path / "outer" / "inner" / "train"):
        assert f"did you mean data.root={tmp_path}/outer/inner?" in refusal(near)


@pytest.mark.parametrize("place", ["train/cat/again", "train/cat/deeper/again"])
@pytest.mark.parametrize("target", ["train/cat", "train", "."])
def test_a_link_to_a_folder_above_is_not_followed(tmp_path: Path, place: str, target: str) -> None:
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            write_images(tmp_path / split / name)
    write_images(tmp_path / "train" / "cat" / "deeper", 3)
    (tmp_path / place).symlink_to(tmp_path / target)
    image_set = load_image_set(Folder(name="folder", root=tmp_path, image_size=8), seed=0)
    assert torch.bincount(image_set.train.labels).tolist() == [5, 2]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            write_images(tmp_path / split / name)
    os.mkfifo(tmp_path / "train" / "cat" / "pipe.png")
    with pytest.raises(DataError, match=r"pipe.png: neither a file nor a folder"):
        load_image_set(Folder(name="folder", root=tmp_path, image_size=8), seed=0)


def test_class_folders_and_images_may_be_links(tmp_path: Path) -> None:
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            write_images(tmp_path / "elsewhere" / name / split)
            (tmp_path / "set" / split).mkdir(parents=True, exist_ok=True)
            (tmp_path / "set" / split / name).symlink_to(tmp_path / "elsewhere" / name / split)
    (tmp_path / "elsewhere" / "dog" / "train" / "twice.png").symlink_to("0.png")
    image_set = load_image_set(Folder(name="folder", root=tmp_path / "set", image_size=8), seed=0)
    assert torch.bincount(image_set.train.labels).tolist() == [2, 3]


NAMES = {
    b"caf\xe9": "caf\\xe9",
    "chat-\u00e9".encode(): "chat-\u00e9",
    "\u732b".encode(): "\u732b",
}  # as bytes, as text


@pytest.fixture
def named(tmp_path: Path) -> Path:
    for split in ("train", "test"):
        for name in NAMES:
            write_images(tmp_path / split / os.fsdecode(name))
    return tmp_path


ROOTED = ["cifar10", "cifar100", "svhn", "mnist", "fashion_mnist", "folder", "npz", "huggingface"]


@pytest.mark.parametrize("name", ROOTED)
def test_the_home_of_nobody_is_one_line(name: str) -> None:
    """Before: a traceback."""
    data = load_config([f"data.name={name}", "data.root=~nobody-here/x"]).config.data
    said = "~nobody-here/x: no such home directory is known here; write the path in full"
    assert data_refused.refusal(data) == said
    if name in ("folder", "npz", "huggingface"):
        assert data_refused.refusal(data, shape_of) == said


def test_class_names_of_any_bytes_are_text(named: Path) -> None:
    names = load_image_set(Folder(name="folder", root=named, image_size=8), seed=0).class_names
    assert sorted(names) == sorted(NAMES.values())
    "".join(names).encode()


@pytest.mark.slow
def test_they_are_the_same_in_a_locale_without_utf8(named: Path) -> None:
    code = "import sys, pathlib; from trainer.data.folder import read_folder as r; "
    code += "print(ascii(r(pathlib.Path(sys.argv[1]), 8).class_names))"
    plain = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0"}
    printed = subprocess.run([sys.executable, "-c", code, named], env=plain, capture_output=True, check=True).stdout
    assert printed.decode().strip() == ascii(
        load_image_set(Folder(name="folder", root=named, image_size=8), seed=0).class_names
    )


def numbered(counts: list[int]) -> Split:
    """Images that hold their own number."""
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    return Split(torch.arange(len(labels)).view(-1, 1, 1, 1), labels)


def test_what_is_held_out_is_stratified_disjoint_and_of_the_seed_alone() -> None:
    whole = numbered([50, 30, 20])
    train, val = hold_out(whole, 0.2, seed=3)
    assert torch.bincount(val.labels).tolist() == [10, 6, 4]
    together = torch.cat([train.images, val.images]).flatten()
    assert sorted(together.tolist()) == list(range(100))
    torch.manual_seed(5)
    assert torch.equal(hold_out(whole, 0.2, seed=3)[1].images, val.images)
    assert not torch.equal(hold_out(whole, 0.2, seed=4)[1].images, val.images)


def test_a_part_of_the_training_set_keeps_every_class() -> None:
    part = take(numbered([97, 2, 1]), 10, seed=0)
    assert len(part) == 10
    assert torch.bincount(part.labels).min() >= 1


@pytest.mark.parametrize(("size", "fraction"), [(101, 0.0), (2, 0.0), (None, 0.001), (None, 0.99)])
def test_impossible_parts_name_their_key(size: int | None, fraction: float) -> None:
    whole = numbered([50, 30, 20])
    with pytest.raises(ConfigError, match=r"data\.(train_size|val_fraction)="):
        _ = take(whole, size, seed=0) if size else hold_out(whole, fraction, seed=0)


def test_the_shape_is_known_without_reading(image_folder: Path) -> None:
    shape = shape_of(Folder(name="folder", root=image_folder, image_size=8))
    assert (shape.num_classes, shape.train_size, shape.image_size) == (2, 48, 8)
    assert shape_of(Cifar10(root=Path("/nowhere"))).train_size == 50_000
    assert shape_of(Shapes10(train_size=500)).train_size == 500


def test_a_preview_is_an_image_with_a_row_a_class(image_folder: Path, tmp_path: Path) -> None:
    image_set = load_image_set(Folder(name="folder", root=image_folder, image_size=8), seed=0)
    path = tmp_path / "sheets" / "preview.png"
    write_preview(image_set, path, per_class=5)
    sheet = np.asarray(Image.open(path).convert("L"), dtype=float)
    top, bottom = sheet[: len(sheet) // 2, -200:], sheet[len(sheet) // 2 :, -200:]
    assert top.mean() > bottom.mean() + 50  # bright above dark
    with pytest.raises(DiskError, match="cannot be written"):
        write_preview(image_set, Path("/proc/preview.png"))


@pytest.mark.parametrize("name", ["svhn", "mnist", "fashion_mnist", "folder", "npz", "huggingface"])
def test_missing_data_is_one_line_and_exit_code_2_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    words = [f"data.name={name}", f"data.root={tmp_path}/nowhere", "model.name=lenet5", "sink.wandb.mode=disabled"]
    off = ["data.download=false"] if name in ("svhn", "mnist", "fashion_mnist") else []
    assert run_here(["train", *words, *off]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {name}: ") and f"{tmp_path}/nowhere" in line
    assert not [*tmp_path.glob("runs/*")]
