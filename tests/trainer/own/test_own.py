"""Parts of the user's: what is a key, what is refused and how, and that two versions of a text are never mixed."""

import json
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
import torch
from command_line import run_here
from torch import nn

from trainer.config import load_config
from trainer.config import own as config_own
from trainer.errors import CheckpointError, ConfigError, SweepError
from trainer.own import parts as own
from trainer.own.source import find, hash_of
from trainer.runs.folder import config_hash, read_config
from trainer.runs.groups import grouped
from trainer.runs.history import read_history
from trainer.sweep.check import check
from trainer.sweep.file import parse_sweep
from trainer.sweep.own_parts import keep_texts, pins
from trainer.training.network_arguments import complete_parts
from trainer.training.run import resume_run, start_run
from trainer.training.trained import evaluate_trained

NET = """
from typing import Callable
from torch import nn

class Net(nn.Module):
    def __init__(self, width: int = 4, scale=1.0, norm: Callable = nn.Identity, *, num_classes, in_channels):
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(in_channels, width, 3), norm(), nn.Linear(width, num_classes)
        self.scale = scale

    def forward(self, images):
        return self.head(self.norm(self.conv(images)).mean((2, 3))) * self.scale
"""
TINY = [
    "data.name=folder", "data.root=images", "data.image_size=8", "train.batch_size=24", "train.epochs=1",
    "augment.crop.padding=1", "sink.wandb.mode=disabled", "recipe=none",
]  # fmt: skip
SMALL = ["model.name=fastresnet9", "model.width=2", "model.ghost_size=4"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, image_folder: Path) -> Path:
    """A folder with two classes of 8x8 pixels in it: two steps an epoch."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "images").symlink_to(image_folder)
    return tmp_path


def load(*words: str) -> Any:
    return load_config([*TINY, *words], complete=complete_parts).config


def problems(*words: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as error:
        load(*words)
    return error.value.problems


def test_arguments_are_keys_and_the_hash_of_the_text_is_in_the_config(here: Path) -> None:
    (here / "nets.py").write_text(NET)
    config = load("model.name=nets.py:Net", "model.width=6")
    assert config.model.arguments == {"width": 6, "scale": 1.0, "code": hash_of(NET)}
    assert config_hash(config) == config_hash(load("model.name=nets.py:Net", "model.width=6"))
    (here / "nets.py").write_text(f"{NET}# another version\n")
    assert config_hash(config) != config_hash(load("model.name=nets.py:Net", "model.width=6"))


def test_a_byte_order_mark_is_no_part_of_a_text(here: Path) -> None:
    (here / "nets.py").write_text(NET, encoding="utf-8-sig")
    assert load("model.name=nets.py:Net").model.arguments["code"] == hash_of(NET)


def test_a_number_is_one_configuration_however_it_is_written(here: Path) -> None:
    (here / "nets.py").write_text(NET.replace("scale=1.0", "scale: float = 1"))
    assert config_hash(load("model.name=nets.py:Net")) == config_hash(load("model.name=nets.py:Net", "model.scale=1.0"))


def test_runs_without_own_parts_keep_the_hash_that_they_had_before_there_were_any() -> None:
    """Reckoned by the trainer before. The new key `augment.extra.name` is not in it."""
    assert config_hash(load_config(["model.name=lenet5"], complete=complete_parts).config) == "3f7dbf53"


BAD = {
    "a missing file": ("model", "nowhere.py:Net", "", "nowhere.py: no such file; one of beside.py, folder.py, own.py"),
    "a misspelt file": ("model", "owm.py:Net", "", "owm.py: no such file; did you mean 'own.py'?"),
    "a syntax error": ("model", "own.py:Net", "class Net(:\n", "own.py: line 1: SyntaxError: invalid syntax"),
    "no such name": ("model", "own.py:Nett", NET, "no Nett in it; did you mean 'Net'?"),
    "no name": ("model", "own.py", NET, "own.py: which name in it? Write own.py:NAME; one of Net"),
    "a folder": ("model", "folder.py:Net", "", "folder.py: a folder, not a file"),
    "no such module": ("model", "no_such.module:Net", "", "no module called 'no_such.module' is installed"),
    "no such name in a module": ("model", "json:Net", "", "no Net in it"),
    "an import error": ("model", "own.py:Net", "import no_such\ndef Net(): ...\n", "line 1: ModuleNotFoundError"),
    "an import beside it": ("model", "own.py:Net", "import beside\ndef Net(): ...\n", "line 1: imports beside, which"),
    "an exit": ("model", "own.py:Net", "import sys\nprint(1)\nsys.exit()\ndef Net(): ...\n", "line 3: SystemExit"),
    "not callable": ("model", "own.py:Net", "Net = 3\n", "a value of type int, neither a class nor a function"),
    "abstract": (
        "model",
        "own.py:Net",
        "import abc\nclass Net(abc.ABC):\n    @abc.abstractmethod\n    def run(self): ...\n",
        "an abstract class, without run",
    ),
    "raises on build": ("model", "own.py:Net", "def Net():\n    raise OSError('no\\nluck')\n", "line 2: OSError: no"),
    "raises without a word": ("model", "own.py:Net", "def Net():\n    assert False\n", "built: line 2: AssertionError"),
    "no module": ("model", "own.py:Net", "def Net(): return 3\n", "builds a value of type int, not a network"),
    "an argument without a value": ("model", "own.py:Net", "def Net(width: int): ...\n", "model.width: needs a value"),
    "an argument that cannot be typed": (
        "model",
        "own.py:Net",
        "def Net(norm: type): ...\n",
        "its argument 'norm' needs a value that cannot be typed; give it a default",
    ),
    "wrong shape": (
        "model",
        "own.py:Net",
        "from torch import nn\ndef Net(): return nn.Conv2d(3, 10, 3)\n",
        "makes a tensor [2, 10, 6, 6] of 2 images, not logits [2, 2]",
    ),
    "nothing to train": (
        "model",
        "own.py:Net",
        "from torch import nn\ndef Net(): return nn.Flatten()\n",
        "has no parameter that is trained",
    ),
    "a loss of too few arguments": ("loss", "own.py:loss", "def loss(logits): ...\n", "takes (logits), but gets"),
    "a loss of wrong shape": (
        "loss",
        "own.py:loss",
        "def loss(logits, targets): return logits.sum()\n",
        "makes a tensor [] of 4 images, not losses [4], one an image",
    ),
    "a NaN loss": (
        "loss",
        "own.py:loss",
        "def loss(logits, targets): return logits.sum(1) * float('nan')\n",
        "makes NaN or an infinite loss",
    ),
    "a key of the trainer's": (
        "loss",
        "own.py:loss",
        "def loss(a, b, l1=0.1): ...\n",
        "its argument 'l1' has the name",
    ),
    "no optimizer": ("optimizer", "own.py:opt", "def opt(groups, lr): ...\n", "builds None, not an optimizer"),
    "float images": (
        "augment.extra",
        "own.py:aug",
        "def aug(images, draw): return images / 2\n",
        "makes a tensor [4, 3, 8, 8] torch.float32 of images [4, 3, 8, 8] uint8",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_part_is_one_line_that_begins_with_its_key(here: Path, case: str) -> None:
    section, name, text, line = BAD[case]
    (here / "own.py").write_text(text)
    (here / "beside.py").write_text("")
    (here / "folder.py").mkdir()
    (problem,) = problems(f"{section}.name={name}", *([] if section == "model" else SMALL))
    assert line in problem and problem.startswith(f"{section}.")
    assert "Error: AssertionError" not in problem


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("model.widht=3", "model.widht: nets.py:Net has no such field; did you mean 'width'?"),
        ("model.width=wide", "model.width: 'wide': input should be a valid integer"),
        ("model.num_classes=3", "model.num_classes: set by the data, remove it"),
        ("model.norm=3", "model.norm: nets.py:Net has no such field"),
        ("model.code=123", "model.code: nets.py has another text now: its hash was 123, and is"),
    ],
)
def test_a_wrong_argument_is_explained_like_any_key(here: Path, word: str, line: str) -> None:
    (here / "nets.py").write_text(NET)
    (problem,) = problems("model.name=nets.py:Net", word)
    assert problem.startswith(line)


def test_a_common_key_of_the_section_is_suggested_too(here: Path) -> None:
    (here / "own.py").write_text("def loss(logits, targets): return logits.sum(1)\n")
    assert problems("loss.name=own.py:loss", "loss.reducton=sum") == (
        "loss.reducton: own.py:loss has no such field; did you mean 'reduction'?",
    )


def test_a_network_without_keys_shows_its_layers(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (
        "from torch import nn\ndef net(num_classes): return nn.Sequential(nn.Flatten(), nn.Linear(3072, num_classes))\n"
    )
    (here / "own.py").write_text(text)
    assert run_here(["models", "own.py:net"]) == 0
    assert "Linear" in capsys.readouterr().out


def test_nan_logits_are_found_before_training_with_the_real_weights(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "nets.py").write_text(NET.replace("* self.scale", "* float('nan')"))
    assert run_here(["train", *TINY, "model.name=nets.py:Net"]) == 2
    out, err = capsys.readouterr()
    said = "error: model.name: nets.py:Net: makes NaN or infinite logits of random images, before any training"
    assert err.splitlines()[-1] == said
    assert not out and not list(here.glob("runs/*"))


def test_what_a_file_prints_is_kept_off_stdout_and_draws_change_no_weight(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "nets.py").write_text(NET)
    assert run_here(["train", *TINY, "model.name=nets.py:Net", "--name", "a"]) == 0
    capsys.readouterr()
    (here / "nets.py").write_text(f"import torch\nprint('hello')\ntorch.rand(9)\n{NET}")
    assert run_here(["train", *TINY, "model.name=nets.py:Net", "--name", "b", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["status"] == "finished"
    one, other = (read_history(Path("runs") / name).rows[-1] for name in "ab")
    assert one["train/loss"] == other["train/loss"]


def test_what_a_forward_prints_is_kept_off_the_stdout_of_every_command(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "nets.py").write_text(NET.replace("images):\n", "images):\n        print('hello')\n"))
    for words in (
        ["train", *TINY, "model.name=nets.py:Net", "--name", "a", "--json"],
        ["evaluate", "a", "--json"],
        ["export", "a", "--to", "safetensors", "--json"],
        ["landscape", "surface", "a", "--dims", "1", "--points", "3", "--json"],
    ):
        assert run_here(words) == 0, words
        out, err = capsys.readouterr()
        assert json.loads(out) and "hello" in err, words
    assert run_here(["inspect", "a", "--images", "2"]) == 0
    assert "hello" not in capsys.readouterr().out


def test_a_mistake_beside_an_own_part_that_is_not_there_needs_no_torch(here: Path) -> None:
    code = (
        "import sys; sys.argv = ['trainer', 'train', 'model.name=gone.py:Net', 'optimizer.lrr=1']\n"
        "import trainer.cli.main\n"
        "try: trainer.cli.main.main()\n"
        "except SystemExit as e: assert e.code == 2\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


# Two versions


def test_a_changed_file_is_refused_on_resume_by_name_and_one_that_is_gone_is_taken_from_the_run(here: Path) -> None:
    (here / "nets.py").write_text(NET)
    config = load("model.name=nets.py:Net", "train.epochs=3", "train.max_steps=2")
    folder = start_run(config, name="a").folder
    (folder / "summary.json").unlink()  # as of a run that was killed
    (here / "nets.py").write_text(NET.replace("mean((2, 3))", "amax((2, 3))"))
    with pytest.raises(CheckpointError, match=r"nets.py has changed since this run began: .*runs/a/own/nets.py"):
        resume_run(folder)
    expected = evaluate_trained(folder)  # looks at the run with the run's own text
    (here / "nets.py").unlink()
    assert resume_run(folder).status == "finished"
    assert evaluate_trained(folder) == expected


def test_a_label_names_the_hash_only_if_two_versions_meet(here: Path) -> None:
    for name, text in (("a", NET), ("b", NET + "# 2\n")):
        (here / "nets.py").write_text(text)
        start_run(load("model.name=nets.py:Net", "train.max_steps=1"), name=name)
    start_run(load(*SMALL, "train.max_steps=1"), name="c")
    a, b, c = (read_history(Path("runs") / name) for name in "abc")
    assert list(grouped([a, c])) == ["nets.py:Net", "fastresnet9"]
    hashes = [hash_of(NET), hash_of(NET + "# 2\n")]
    assert list(grouped([a, b])) == [f"nets.py:Net, code={each}" for each in hashes]


SWEEP = """
method: grid
parameters:
  model.name: {values: ["nets.py:Net", resnet20]}
  data.name: {value: folder}
  data.root: {value: images}
"""


def test_the_points_of_a_sweep_are_held_to_the_text_it_began_with(here: Path) -> None:
    (here / "nets.py").write_text(NET)
    sweep = parse_sweep(SWEEP, Path("s.yaml"))
    entries = check(sweep).entries
    sources = keep_texts(sweep, here / "runs" / "s")
    assert [pins(entry.point, sweep, sources) for entry in entries] == [[f"model.code={hash_of(NET)}"], []]
    (here / "nets.py").write_text(f"{NET}\n")
    with pytest.raises(SweepError, match=r"nets.py has changed since this sweep began: bring back .*/s/own/nets.py"):
        keep_texts(sweep, here / "runs" / "s")
    words = [*entries[0].point.overrides, *pins(entries[0].point, sweep, sources)]
    assert run_here(["train", *TINY, *words, "--runs", "runs/s", "--name", "p"]) == 0  # as a child does
    assert (here / "runs" / "s" / "p" / "own" / "nets.py").read_text() == NET
    assert read_config(Path("runs/s/p")).model.arguments["code"] == hash_of(NET)


def test_two_files_of_one_name_cannot_both_be_kept(here: Path) -> None:
    for folder in ("a", "b"):
        (here / folder).mkdir()
        (here / folder / "x.py").write_text(f"def {folder}(logits, targets): return logits.sum(1)\n")
    sources = [find("loss", "a/x.py:a"), find("loss", "b/x.py:b")]
    with pytest.raises(ConfigError, match=r"a/x.py has the same name and another text; rename one of them"):
        own.keep(sources, here)


# Packages


def test_a_package_gives_a_short_name_but_never_one_of_the_trainer_s(monkeypatch: pytest.MonkeyPatch) -> None:
    group = config_own.GROUPS["loss"]
    found = [EntryPoint(name, "torch.nn:MultiMarginLoss", group) for name in ("margin", "mse")]
    monkeypatch.setattr(config_own, "entry_points", lambda group: found if group == config_own.GROUPS["loss"] else [])
    config_own.packaged.cache_clear()
    try:
        config = load("model.name=lenet5", "loss.name=margin", "loss.margin=0.5")
        assert (
            config.loss.arguments == {"p": 1, "margin": 0.5, "weight": None} or config.loss.arguments["margin"] == 0.5
        )
        assert load("model.name=lenet5", "loss.name=mse").loss.model_dump()["scores"] == "logits"
        assert problems("model.name=lenet5", "loss.name=margn")[0].startswith("loss.name: no loss is called 'margn'")
    finally:
        config_own.packaged.cache_clear()


def test_torch_s_own_optimizer_is_built_with_its_default_rate(here: Path) -> None:
    config = load(*SMALL, "optimizer.name=torch.optim:Rprop", "optimizer.etas=[0.4,1.3]")
    assert config.optimizer.lr == 1e-2 and config.optimizer.arguments["etas"] == (0.4, 1.3)
    from trainer.training.optimizers import build_optimizer

    optimizer = build_optimizer(nn.Linear(2, 2), config.optimizer, fused=False)
    assert isinstance(optimizer, torch.optim.Rprop) and optimizer.param_groups[0]["etas"] == (0.4, 1.3)


# Augmentation and probe


def test_an_own_augmentation_draws_the_same_after_a_resume_inside_an_epoch(here: Path) -> None:
    from trainer.config.augment import Augment
    from trainer.data.batches import TrainingBatches
    from trainer.data.images import Split
    from trainer.data.steps import Steps

    (here / "own.py").write_text(
        "import torch\ndef flip(images, draw):\n"
        "    return torch.where(torch.rand(len(images), 1, 1, 1, generator=draw) < 0.5, 255 - images, images)\n"
    )
    images = torch.randint(256, (12, 3, 8, 8), dtype=torch.uint8)
    augment = Augment.model_validate({"extra": {"name": "own.py:flip"}})
    batches = TrainingBatches(Split(images, torch.arange(12)), augment, steps=Steps(12, 4), seed=0)
    whole = [each for each, _ in batches.epoch(1)]
    resumed = [each for each, _ in batches.epoch(1, start=1)]
    assert all(torch.equal(one, other) for one, other in zip(whole[1:], resumed, strict=True))
    plain = TrainingBatches(Split(images, torch.arange(12)), Augment(), steps=Steps(12, 4), seed=0)
    assert not any(torch.equal(one, other) for one, (other, _) in zip(whole, plain.epoch(1), strict=True))


def test_an_own_probe_changes_no_bit_of_the_run_whatever_it_does(here: Path) -> None:
    (here / "own.py").write_text(
        "import torch\ndef spoil(view):\n"
        "    for p in view.model.parameters(): p.data.zero_()\n"
        "    for g in view.gradient: g.zero_()\n"
        "    view.images.zero_(); torch.rand(3)\n"
        "    return {'loss': view.loss, 'three': 3}\n"
    )
    words = [*SMALL, "train.epochs=2"]
    start_run(load(*words), name="plain")
    start_run(load(*words, "probe.extra.name=own.py:spoil", "probe.extra.every=1"), name="probed")
    plain, probed = (read_history(Path("runs") / name) for name in ("plain", "probed"))
    ours = [row for row in probed.rows if "extra/loss" in row]
    assert len(ours) == 4 and {row["extra/three"] for row in ours} == {3}
    assert [row["train/loss"] for row in plain.having("train/loss")] == [
        row["train/loss"] for row in probed.having("train/loss")
    ]


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ("return 3", "measures a value of type int; return a dict of names and numbers"),
        ("return {'a': view.images}", "a is a tensor [24, 3, 8, 8], not a number"),
        ("return {'a': view.nothing}", "cannot measure: line 2: AttributeError: 'View' object has no attribute"),
    ],
)
def test_a_probe_that_measures_no_numbers_is_refused_before_training(
    here: Path, capsys: pytest.CaptureFixture[str], body: str, line: str
) -> None:
    (here / "own.py").write_text(f"def probe(view):\n    {body}\n")
    words = [*SMALL, "probe.extra.name=own.py:probe", "probe.extra.at=[1]"]
    assert run_here(["train", *TINY, *words]) == 2
    assert f"error: probe.extra.name: own.py:probe: {line}" in capsys.readouterr().err
    assert not list(here.glob("runs/*"))


@pytest.mark.parametrize(
    ("made", "line"),
    [
        ("3", "makes a value of type int; return (images, labels), (test_images, test_labels)"),
        (
            "(x.float(), y), (x, y)",
            "images are a tensor [4, 3, 8, 8] torch.float32, not [N, C, H, H] uint8",
        ),
        ("(x, y), (x, y[:2])", "4 test images, but 2 labels"),
        ("(x, y), (x[:, :1], y)", "training and test images are of two sizes: 3x8x8 and 1x8x8"),
        ("(x, y), (x, y), ['one', 'two']", "2 classes, but a label is 3"),
        ("(x, y - 1), (x, y)", "a label is -1; the first class is 0"),
    ],
)
def test_data_that_are_no_images_and_labels_are_refused(here: Path, made: str, line: str) -> None:
    from trainer.data.sources import load_image_set

    (here / "own.py").write_text(
        f"import torch\nx, y = torch.zeros(4, 3, 8, 8, dtype=torch.uint8), torch.arange(4)\ndef data(): return {made}\n"
    )
    config = load_config([*SMALL, "recipe=none", "data.name=own.py:data"], complete=complete_parts).config
    with pytest.raises(ConfigError) as error:
        load_image_set(config.data, seed=0)
    assert line in error.value.problems[0]
