"""A folder that `timm.create_model("local-dir:FOLDER", pretrained=True)` loads: config.json and model.safetensors.

timm's own networks need timm alone. For those of `models`, and for timm's with a stem for small images or another
momentum of BatchNorm, the reader first imports `models.in_timm`, which tells timm how to build them.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import timm
from torch import Tensor, nn

import models
import models.in_timm  # so that timm builds the networks of ours
from models.from_timm import OURS
from trainer.errors import ExportError
from trainer.export.network import Answer, ExportedNetwork
from trainer.export.safetensors import body_of
from trainer.files import disk_errors, folder_written_whole, write_json, write_whole

_OF_TRAINING = ("pretrained", "checkpoint_path", "stem")  # arguments that the folder replaces, or that timm lacks
_KEPT = ("classifier", "first_conv", "fixed_input_size")  # what timm needs to change classes, channels or sizes


def write_timm(network: ExportedNetwork, path: Path) -> float:
    """Write the folder and return the largest difference of a logit. Raises ExportError, DiskError."""
    with disk_errors(path), folder_written_whole(path) as folder:
        write_files(network, folder)
        return network.difference(answer_of(network, folder))


def write_files(network: ExportedNetwork, folder: Path) -> None:
    """Write both files into a folder. Raises ExportError for a network of the user's, DiskError."""
    if network.own:
        raise ExportError(
            f"timm: {network.config.model.name} is a network of your own, which timm cannot build; "
            "take safetensors, onnx or hub-folder"
        )
    write_json(folder / "config.json", config_of(network), indent=2)
    write_whole(folder / "model.safetensors", body_of(network))


def known_to_timm(network: ExportedNetwork) -> bool:
    """Return whether timm alone can build the network."""
    model, stem = network.config.model, network.arguments.get("stem", "imagenet")
    return model.name.startswith(models.TIMM) and stem == "imagenet" and model.norm_momentum is None


def config_of(network: ExportedNetwork) -> dict[str, Any]:
    """Return the content of config.json in timm's form."""
    name, arguments = network.config.model.name, network.arguments
    if known_to_timm(network):
        architecture = name.removeprefix(models.TIMM).split(".")[0]  # weights are named after a dot
        own: Mapping[str, Any] = cast("Any", network.model).pretrained_cfg
        about = {key: own[key] for key in _KEPT if own.get(key) is not None}
        takes = {key: value for key, value in arguments.items() if key not in _OF_TRAINING}
    else:
        architecture = OURS
        about = {"classifier": head} if (head := _classifier(network)) else {}
        takes = {"network": name, "arguments": {k: v for k, v in arguments.items() if k not in _OF_TRAINING[:2]}}
        takes["img_size"] = network.image_set.image_size
    data = network.image_set
    return {
        "architecture": architecture,
        "num_classes": data.num_classes,
        "label_names": list(data.class_names),
        "model_args": {**takes, "in_chans": data.in_channels},
        "pretrained_cfg": {
            "input_size": list(network.input_size),
            "num_classes": data.num_classes,
            "mean": list(data.mean),
            "std": list(data.std),
            "interpolation": "bilinear",
            "crop_pct": 1.0,
            **about,
        },
        "cifar_sweeps": network.description(),
    }


def answer_of(network: ExportedNetwork, folder: Path) -> Answer:
    """Return the network that timm builds from a folder."""
    built = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()

    def answer(images: Tensor) -> Tensor:
        return built(network.normalize(255 * images))

    return answer


def _classifier(network: ExportedNetwork) -> str:
    """Return the name of the last layer if it makes the logits, so that timm can replace it for other classes."""
    layers = [(name, each) for name, each in network.model.named_modules() if isinstance(each, nn.Linear)]
    return layers[-1][0] if layers and layers[-1][1].out_features == network.image_set.num_classes else ""
