"""Weights as one safetensors file, whose metadata say what network they belong to."""

import json
from pathlib import Path

from safetensors.torch import load_file, save
from torch import Tensor

from trainer.export.network import Answer, ExportedNetwork
from trainer.files import disk_errors, written_whole
from trainer.training.networks import build_network


def write_safetensors(network: ExportedNetwork, path: Path) -> float:
    """Write the file and return the largest difference of a logit. Raises ExportError, DiskError."""
    with disk_errors(path), written_whole(path) as file:
        file.write(body_of(network))
        file.flush()
        return network.difference(answer_of(network, Path(file.name)))


def body_of(network: ExportedNetwork) -> bytes:
    """Return the file's bytes. Each value of the metadata but `format` is JSON."""
    metadata = {key: json.dumps(value, default=str) for key, value in network.description().items()}
    return save(network.weights(), {"format": "pt", **metadata})


def answer_of(network: ExportedNetwork, path: Path) -> Answer:
    """Return a network that is built anew, with the weights of a file."""
    built = build_network(network.config.model, network.image_set)
    built.load_state_dict(load_file(path))
    built.eval()

    def answer(images: Tensor) -> Tensor:
        return built(network.normalize(255 * images))

    return answer
