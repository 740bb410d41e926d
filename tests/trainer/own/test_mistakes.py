"""Own parts that are no parts: a line each, before any training."""

import subprocess
import sys
from pathlib import Path

import pytest
from command_line import run_here
from own_parts import NET, SMALL, TINY, load, problems

from trainer.config import load_config
from trainer.data.sources import load_image_set
from trainer.errors import ConfigError
from trainer.training.network_arguments import complete_parts

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


PRINTED = ["1"]  # by the parts themselves


@pytest.mark.parametrize("case", BAD)
def test_a_bad_part_is_one_line_that_begins_with_its_key(
    here: Path, case: str, capsys: pytest.CaptureFixture[str]
) -> None:
    section, name, text, line = BAD[case]
    (here / "own.py").write_text(text)
    (here / "beside.py").write_text("")
    (here / "folder.py").mkdir()
    assert run_here(["train", *TINY, f"{section}.name={name}", *([] if section == "model" else SMALL)]) == 2
    out, err = capsys.readouterr()
    (problem,) = (said for said in err.splitlines() if said not in PRINTED)
    assert line in problem and problem.startswith(f"error: {section}.")
    assert "Error: AssertionError" not in problem
    assert not out and not (here / "runs").exists()


def test_nan_logits_are_found_before_training_with_the_real_weights(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "nets.py").write_text(NET.replace("* self.scale", "* float('nan')"))
    assert run_here(["train", *TINY, "model.name=nets.py:Net"]) == 2
    out, err = capsys.readouterr()
    said = "error: model.name: nets.py:Net: makes NaN or infinite logits of random images, before any training"
    assert err.splitlines()[-1] == said
    assert not out and not list(here.glob("runs/*"))


def test_a_group_that_an_own_network_does_not_have_is_refused_before_training(here: Path) -> None:
    (here / "nets.py").write_text(NET.replace("width, 3)", "width, 3, bias=False)"))
    said = "the network's first layer has no bias that is trained; set optimizer.first_bias.end_epoch=null"
    assert problems("model.name=nets.py:Net", "optimizer.first_bias.end_epoch=1") == (f"optimizer.first_bias: {said}",)
    assert load("model.name=nets.py:Net", "optimizer.head.lr_scale=2").optimizer.head.lr_scale == 2


def test_a_mistake_beside_an_own_part_that_is_not_there_needs_no_torch(here: Path) -> None:
    code = (
        "import sys; sys.argv = ['trainer', 'train', 'model.name=gone.py:Net', 'optimizer.lrr=1']\n"
        "import trainer.cli.main\n"
        "try: trainer.cli.main.main()\n"
        "except SystemExit as e: assert e.code == 2\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


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
        ("(x, y), (x, y), 2", "its names of the classes are a value of type int, not a list of texts"),
        ("(x, y), (x, y), 'abcd'", "its names of the classes are a value of type str, not a list of texts"),
        ("(x, y.cfloat()), (x, y)", "its training labels are a tensor [4], not [N] whole numbers"),
        ("(x, y), (x[:0], y[:0])", "it has no test images"),
        ("(x[..., :0, :0], y), (x, y)", "its training images are 3x0x0, which has no pixels"),
        ("(x, y), (x[:, :0], y)", "its test images are 0x8x8, which has no pixels"),
    ],
)
def test_data_that_are_no_images_and_labels_are_refused(here: Path, made: str, line: str) -> None:
    (here / "own.py").write_text(
        f"import torch\nx, y = torch.zeros(4, 3, 8, 8, dtype=torch.uint8), torch.arange(4)\ndef data(): return {made}\n"
    )
    config = load_config([*SMALL, "recipe=none", "data.name=own.py:data"], complete=complete_parts).config
    with pytest.raises(ConfigError) as error:
        load_image_set(config.data, seed=0)
    assert line in error.value.problems[0]


@pytest.mark.parametrize("kind", ["uint8", "int16", "uint16", "uint32", "uint64"])
def test_labels_of_own_data_are_whole_numbers_of_any_kind(here: Path, kind: str) -> None:
    """Before: torch has no least of the larger unsigned ones, and said so in a traceback."""
    part = f"torch.zeros(4, 3, 8, 8, dtype=torch.uint8), torch.arange(4).to(torch.{kind})"
    (here / "own.py").write_text(f"import torch\ndef data():\n    part = {part}\n    return part, part, None\n")
    config = load_config([*SMALL, "recipe=none", "data.name=own.py:data"], complete=complete_parts).config
    image_set = load_image_set(config.data, seed=0)
    assert image_set.train.labels.tolist() == [0, 1, 2, 3] and image_set.class_names == ("0", "1", "2", "3")
