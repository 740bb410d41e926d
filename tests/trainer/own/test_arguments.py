"""Arguments of own parts: what is a key, and how a wrong one is explained."""

from pathlib import Path

import pytest
from command_line import run_here
from own_parts import NET, load, problems

from trainer.own.source import hash_of
from trainer.runs.folder import config_hash


def test_arguments_are_keys_and_the_hash_of_the_text_is_in_the_config(here: Path) -> None:
    (here / "nets.py").write_text(NET)
    config = load("model.name=nets.py:Net", "model.width=6")
    assert config.model.arguments == {"width": 6, "scale": 1.0, "code": hash_of(NET)}
    assert config_hash(config) == config_hash(load("model.name=nets.py:Net", "model.width=6"))
    (here / "nets.py").write_text(f"{NET}# another version\n")
    assert config_hash(config) != config_hash(load("model.name=nets.py:Net", "model.width=6"))


def test_a_number_is_one_configuration_however_it_is_written(here: Path) -> None:
    (here / "nets.py").write_text(NET.replace("scale=1.0", "scale: float = 1"))
    assert config_hash(load("model.name=nets.py:Net")) == config_hash(load("model.name=nets.py:Net", "model.scale=1.0"))


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


def test_a_network_gets_the_number_of_classes_through_its_kwargs(here: Path) -> None:
    """As torchvision's do. Other names in them are no keys, since nobody could check them."""
    (here / "nets.py").write_text(
        f"{NET}\n\ndef net(width=4, **kwargs):\n    return Net(width, in_channels=3, **kwargs)\n"
    )
    assert load("model.name=nets.py:net").model.arguments["width"] == 4
    assert problems("model.name=nets.py:net", "model.scale=2")[0].startswith("model.scale: nets.py:net has no such")
    assert load("model.name=torchvision.models:squeezenet1_1", "data.image_size=32").model.name


def test_an_argument_that_cannot_be_a_key_keeps_its_default(here: Path) -> None:
    """Pydantic has its own use for two kinds of names, and JSON has no infinity."""
    (here / "nets.py").write_text(NET.replace("scale=1.0", "scale=1.0, model_config=1, _hidden=2, most=float('inf')"))
    assert set(load("model.name=nets.py:Net").model.arguments) == {"width", "scale", "code"}
    (here / "nets.py").write_text(NET.replace("num_classes,", "num_classes, model_config,"))
    assert problems("model.name=nets.py:Net") == (
        "model.name: nets.py:Net: its argument 'model_config' needs a value that cannot be typed; give it a default",
    )
