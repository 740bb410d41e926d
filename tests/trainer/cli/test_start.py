"""What a start imports: torch and timm take seconds, so no command imports them before it needs them."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import models
from trainer.threads import threads_asked

COMMANDS = {  # and the exit code of each
    "config --model resnet18": 0,
    "config --model fastresnet9 model.width=32 model.whitening=false train.epochs=3": 0,
    "config --model vgg_a model.norm=group model.dropout=0.2": 0,
    "config --recipe demo": 0,
    "config --recipe cpu94": 0,
    "config --recipe speed95": 0,
    "config --recipe cpu94_without_quick_norms": 0,
    "config --model vgg_a_bn model.norm_momentum=0.4": 0,
    "models": 0,
    "models --json": 0,
    "models resnet18": 0,
    "models densenet121 --json": 0,
    "sweep check ok.yaml": 0,
    "config --model resnet81": 2,
    "models resnet81": 2,
    "train --model resnet81": 2,
    "train --model resnet18 model.widht=3": 2,
    "train --model resnet9 model.width=0": 2,
    "train --model resnet9 model.act=gulu": 2,
    "train --model vgg_a model.dropout=1": 2,
    "train optimizer.name=sgdd": 2,
    "train schedule.name=cosin": 2,
    "train optimizer.lr=fast": 2,
    "train --recipe demi": 2,
    "train --model timm/resnet81": 2,
    "models timm/resnet81": 2,
    "train optimizer.name=timm/lambb": 2,
    "train optimizer.name=timm/adahessian": 2,
    "train --model densenet121 model.compression=0": 2,
    "train --model res9 model.stem=[0]": 2,
    "train train.precision=float16 train.device=cpu": 2,
    "train --runs ok.yaml": 2,
    "bench step --model resnet81": 2,
    "bench epoch --model resnet81": 2,
    "bench sweep --model resnet81": 2,
    "bench peers --timm .": 2,
    "train --model handmade_mlp model.hidden=[8,0]": 2,
    "train --name a/b": 2,
    "train --name empty --runs .": 2,
    "train --resume runs/none": 2,
    "train --resume empty": 2,
    "evaluate runs/none": 2,
    "evaluate empty": 2,
    "export runs/none --to onnx": 2,
    "export empty --to onyx": 2,
    "inspect runs/none": 2,
    "inspect empty": 2,
    "compare runs/none runs/other": 2,
    "compare empty runs/other": 2,
    "landscape surface runs/none": 2,
    "landscape hessian empty": 2,
    "sweep check no.yaml": 2,
    "sweep run no.yaml": 2,
    "bench data data.name=shape10": 2,
}

SWEEP = """
method: grid
parameters:
  model.name: {{value: {model}}}
  optimizer.name: {{values: [sgd, {optimizer}]}}
"""
_RUN = """
import json, sys
commands, then = json.loads(sys.argv[1]), sys.argv[2]
before = set(sys.modules)  # so that what trainer.cli.main imports is the first command's
import trainer.cli.main
found = {}
for words in commands:
    sys.argv = ["trainer", *words.split()]
    try:
        trainer.cli.main.main()
    except SystemExit as ended:
        found[words] = ended.code or 0, sorted(set(sys.modules) - before)
    before = set(sys.modules)
exec(then)
found["then"] = 0, sorted(set(sys.modules) - before)
with open("found.json", "w") as file:
    json.dump(found, file)
"""


Imports = dict[str, tuple[int, set[str]]]  # command -> its exit code, and what it was the first to import


def imports_of(commands: list[str], folder: Path, then: str = "") -> Imports:
    """Run commands of `trainer` in a new process. Return the exit code of each, and what it was the first to import.

    What Python code does after them is under `then`.
    """
    words = [sys.executable, "-c", _RUN, json.dumps(commands), then]
    subprocess.run(words, cwd=folder, capture_output=True, check=True)
    found = imports_in(folder)
    assert found.keys() == {*commands, "then"}
    return found


def imports_in(folder: Path) -> Imports:
    found = json.loads((folder / "found.json").read_text())
    return {command: (code, set(modules)) for command, (code, modules) in found.items()}


@pytest.fixture(scope="module")
def found(made_once: Callable[[str, Callable[[Path], object]], Path]) -> Imports:
    def make(folder: Path) -> None:
        (folder / "empty").mkdir()
        (folder / "empty" / "notes.txt").touch()  # else a new run would take it
        (folder / "ok.yaml").write_text(SWEEP.format(model="resnet18", optimizer="adamw"))
        (folder / "no.yaml").write_text(SWEEP.format(model="resnet81", optimizer="adamww"))
        imports_of(list(COMMANDS), folder)

    return imports_in(made_once("start", make))


@pytest.mark.parametrize("words", COMMANDS)
def test_torch_and_timm_are_not_imported_by(words: str, found: Imports) -> None:
    code, modules = found[words]
    assert code == COMMANDS[words]
    assert sorted(modules & {"torch", "timm", "torchvision", "sympy", "wandb", "ray"}) == []


@pytest.fixture(scope="module")
def uses_timm() -> dict[str, bool]:
    """Whether a network has a layer of timm's, by its name."""
    return {
        name: any(type(layer).__module__.startswith("timm.") for layer in models.sketch_model(name).modules())
        for name in models.model_names()
    }


@pytest.fixture(scope="module")
def trained(
    made_once: Callable[[str, Callable[[Path], object]], Path], image_folder: Path, uses_timm: dict[str, bool]
) -> Imports:
    """Train three networks, then build all that have no layer of timm's, in one process."""
    small = "train.batch_size=32 train.max_steps=2 sink.wandb.mode=disabled"
    images = f"data.name=folder data.root={image_folder} data.image_size=32"
    without = [name for name, used in uses_timm.items() if not used]
    commands = [
        f"train --model lenet5 optimizer.lookahead.steps=5 --data shapes10 data.train_size=64 {small}",
        f"train --model vgg_a model.width=2 optimizer.name=adamw {images} {small}",
        f"train --model fastresnet9 model.width=2 optimizer.name=muon {images} {small}",
    ]
    then = f"import models; [models.sketch_model(name) for name in {without}]"
    return imports_in(made_once("trained", lambda folder: imports_of(commands, folder, then=then)))


def test_training_imports_neither_timm_nor_what_compiles_nor_wandb(trained: Imports) -> None:
    """timm takes as long as torch. So does torch._dynamo, which torch's own optimizers import. W&B is disabled here."""
    unwanted = {"timm", "torchvision", "torch._dynamo", "torch._inductor", "sympy", "scipy.stats", "pandas", "wandb"}
    unwanted |= {"numba"}  # which colour jitter alone needs
    assert "torch" in set.union(*(modules for _, modules in trained.values()))
    for command, (code, modules) in trained.items():
        assert code == 0
        assert command == "then" or sorted(modules & unwanted) == []


def test_networks_without_a_layer_of_timm_are_built_without_timm(uses_timm: dict[str, bool], trained: Imports) -> None:
    assert uses_timm["resnet18"] and not uses_timm["lenet5"]
    assert not [name for _, modules in trained.values() for name in modules if name.partition(".")[0] == "timm"]


@pytest.mark.parametrize(("asked", "count"), [("", 0), ("3", 3), ("8,4", 8), (" 2", 2), ("all", 0), ("-1", 0)])
def test_the_first_number_of_threads_counts_as_for_openmp(asked: str, count: int) -> None:
    assert threads_asked({"OMP_NUM_THREADS": asked}) == count


@pytest.mark.parametrize("chosen", ["", "OMP_WAIT_POLICY=active", "GOMP_SPINCOUNT=7"])
def test_waiting_threads_sleep_unless_the_user_has_chosen(chosen: str, tmp_path: Path) -> None:
    """Else a run beside other work is slower by a factor of ten. What a peer gets is the user's environment."""
    names = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
    env = {name: value for name, value in os.environ.items() if name not in names}
    env |= dict([chosen.split("=")]) if chosen else {}
    code = (
        "import json, os; from trainer.threads import *; before = dict(os.environ); let_waiting_threads_sleep();"
        f"print(json.dumps([[os.environ.get(name) for name in {names}], environment_as_found() == before]))"
    )
    said = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True).stdout
    expected = {"": [None, "4000"], "OMP_WAIT_POLICY=active": ["active", None], "GOMP_SPINCOUNT=7": [None, "7"]}
    assert json.loads(said) == [expected[chosen], True]
