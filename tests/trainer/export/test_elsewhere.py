"""Exports, loaded where there is no trainer: they answer as the network does."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from trainer.errors import ExportError
from trainer.export.hub import write_hub_folder
from trainer.export.network import ExportedNetwork, load_network
from trainer.export.onnx import write_onnx
from trainer.export.safetensors import write_safetensors
from trainer.export.timm import write_timm

ROOT = Path(__file__).parents[3]
IN_TORCH = """
import json, os, re, sys
from pathlib import Path

sys.modules["trainer"] = None  # an import of it fails
import numpy as np
import timm
import torch
from safetensors import safe_open
from safetensors.torch import load_file

images, answers = torch.from_numpy(np.load("images.npy")), {}

def ask(name, net, mean, std):
    mean, std = (torch.tensor(each).view(-1, 1, 1) for each in (mean, std))
    with torch.inference_mode():
        answers[name] = net.eval()((images - mean) / std).numpy()

def ask_timm(name):
    net = timm.create_model(f"local-dir:{name}-timm", pretrained=True)
    data = timm.data.resolve_data_config(model=net)
    assert data["input_size"] == (3, 8, 8), data
    ask(f"{name}-timm", net, data["mean"], data["std"])

ask_timm("timms")
assert "models" not in sys.modules
import models
import models.in_timm
ask_timm("ghost")
ask_timm("small_stem")
three = timm.create_model("local-dir:ghost-timm", pretrained=True, num_classes=3)
assert three(images).shape == (len(images), 3)

with safe_open("ghost.safetensors", "pt") as file:
    about = {key: json.loads(value) for key, value in file.metadata().items() if key != "format"}
net = models.build_model(about["network"], **{key: about[key] for key in models.SET_BY_DATA}, **about["arguments"])
net.load_state_dict(load_file("ghost.safetensors"))
ask("ghost.safetensors", net, about["mean"], about["std"])

for name in ("timms", "ghost", "tied"):
    os.chdir(f"{name}-hub")
    sys.path.insert(0, ".")
    (example,) = re.findall(r"```python\\n(.*?)```", Path("README.md").read_text(), re.DOTALL)
    did = {}
    exec(example, did)
    assert abs(float(did["probabilities"].sum()) - 1) < 1e-5
    os.chdir("..")
    ask(f"{name}-hub", did["net"], did["mean"], did["std"])
np.savez("answers.npz", **answers)
"""
IN_ONNXRUNTIME = """
import sys
import numpy as np
import onnxruntime
session = onnxruntime.InferenceSession("ghost.onnx", providers=["CPUExecutionProvider"])
images = np.load("images.npy")
answers = {f"first {n}": session.run(["logits"], {"images": images[:n]})[0] for n in (1, 3, len(images))}
assert "torch" not in sys.modules
np.savez("answers.npz", **answers)
"""


def answers_of(program: str, folder: Path, images: torch.Tensor) -> dict[str, np.ndarray]:
    """Run a program in `folder`, with `images` uint8 as fractions of white in images.npy. Return what it saves."""
    np.save(folder / "images.npy", images.float().numpy() / 255)
    path = ["-c", f"import sys; sys.path.insert(0, {str(folder / 'path')!r}); exec(sys.stdin.read())"]
    (folder / "path").mkdir()
    (folder / "path" / "models").symlink_to(ROOT / "models")
    ended = subprocess.run(
        [sys.executable, *path], input=program, cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )
    assert ended.returncode == 0, ended.stderr
    with np.load(folder / "answers.npz") as answers:
        return dict(answers)


def agree(theirs: np.ndarray, ours: torch.Tensor) -> None:
    torch.testing.assert_close(torch.from_numpy(theirs), ours, rtol=0, atol=1e-4)


@pytest.mark.slow
def test_safetensors_timm_and_hub_folder_answer_without_the_trainer(exported_runs: Path, tmp_path: Path) -> None:
    networks: dict[str, ExportedNetwork] = {}
    for name in ("ghost", "timms", "small_stem", "tied"):
        networks[name] = load_network(exported_runs / name, {})
    write_safetensors(networks["ghost"], tmp_path / "ghost.safetensors")
    for name in ("ghost", "timms", "small_stem"):
        write_timm(networks[name], tmp_path / f"{name}-timm")
    for name in ("ghost", "timms", "tied"):
        write_hub_folder(networks[name], tmp_path / f"{name}-hub")
    answers = answers_of(IN_TORCH, tmp_path, networks["ghost"].images)
    assert len(answers) == 7
    for key, theirs in answers.items():
        agree(theirs, networks[key.replace(".", "-").rpartition("-")[0]].logits)


def test_onnx_answers_without_torch_for_any_number_of_images(exported_runs: Path, tmp_path: Path) -> None:
    network = load_network(exported_runs / "ghost", {})
    assert write_onnx(network, tmp_path / "ghost.onnx") <= 1e-4
    for key, theirs in answers_of(IN_ONNXRUNTIME, tmp_path, network.images).items():
        agree(theirs, network.logits[: int(key.split()[1])])


@pytest.mark.slow
def test_a_network_that_counts_its_images_is_no_onnx_and_one_of_the_users_is(
    exported_runs: Path, tmp_path: Path
) -> None:
    assert write_onnx(load_network(exported_runs / "tied", {}), tmp_path / "tied.onnx") <= 1e-4
    with pytest.raises(ExportError, match="for any number of images"):
        write_onnx(load_network(exported_runs / "counting", {}), tmp_path / "counting.onnx")
    assert [each.name for each in tmp_path.iterdir()] == ["tied.onnx"]
