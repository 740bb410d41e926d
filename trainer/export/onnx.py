"""A network as one ONNX file, which onnxruntime runs without torch. Needs the extra `export`.

The graph takes images [N, C, H, W] float32, 0 black and 1 white, for any N, and normalises them itself.
"""

import io
import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import onnxruntime
import torch
from torch import Tensor, nn

from trainer.errors import ExportError, first_line
from trainer.export.network import Answer, ExportedNetwork
from trainer.files import disk_errors, written_whole

OPSET = 18
"""Version of ONNX's operators: the one that torch's exporter writes without a conversion. onnxruntime 1.14 has it."""


class NormalisedInside(nn.Module):
    """Images, 0 black and 1 white -> logits, with the normalisation inside."""

    mean: Tensor  # [1, C, 1, 1]
    std: Tensor  # [1, C, 1, 1]

    def __init__(self, network: ExportedNetwork) -> None:
        super().__init__()
        self.network = network.model
        self.register_buffer("mean", torch.tensor(network.image_set.mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(network.image_set.std).view(1, -1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        return self.network((images - self.mean) / self.std)


def write_onnx(network: ExportedNetwork, path: Path) -> float:
    """Write the file and return the largest difference of a logit. Raises ExportError, DiskError."""
    body = _graph(network)
    with disk_errors(path), written_whole(path) as file:
        file.write(body)
        file.flush()
        return network.difference(answer_of(Path(file.name)))


def answer_of(path: Path) -> Answer:
    """Return what onnxruntime makes of a file, on the CPU."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def answer(images: Tensor) -> Tensor:
        (logits,) = session.run(["logits"], {"images": images.numpy()})
        return torch.from_numpy(logits)

    return answer


def _graph(network: ExportedNetwork) -> bytes:
    name, examples = network.config.model.name, network.images[:1].expand(2, -1, -1, -1).float() / 255
    try:
        with _quiet():
            program = torch.onnx.export(
                NormalisedInside(network).eval(),
                (examples,),
                input_names=["images"],
                output_names=["logits"],
                dynamic_shapes=({0: torch.export.Dim("N", min=1)},),
                opset_version=OPSET,
                external_data=False,
                verbose=False,
            )
            assert program is not None  # it is where no file is named
            described = {key: json.dumps(value, default=str) for key, value in network.description().items()}
            program.model.metadata_props.update(described)
            file = io.BytesIO()
            program.save(cast("Any", file))  # a file, which its annotation does not name
    except Exception as error:  # torch's exporter, and a network of the user's in it, can raise nearly anything
        raise ExportError(f"onnx: {name} cannot be expressed: {first_line(_cause(error))}") from error
    shape = program.model.graph.inputs[0].shape
    if shape is not None and isinstance(shape[0], int):  # the exporter has fixed it without a word
        raise ExportError(f"onnx: {name} cannot be expressed for any number of images: its forward counts them")
    return file.getvalue()


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep warnings and logs of the exporter from the user. What they are about is checked afterwards."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


def _cause(error: BaseException) -> BaseException:
    """Return what went wrong first. The exporter's own message is about itself."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error
