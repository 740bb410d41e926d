"""`trainer inspect`: pictures of what a network sees, and all numbers in inspect.json."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from trainer.data.drawn import channels_note
from trainer.errors import ConfigError
from trainer.files import make_folder, write_json
from trainer.inspect.grad_cam import grad_cam
from trainer.inspect.layers import check_layers, feature_maps, first_filters, last_maps, stages, statistics
from trainer.inspect.network import InspectedNetwork
from trainer.inspect.pictures import (
    Cell,
    Column,
    contact_sheet,
    filter_grid,
    heat_over,
    map_grid,
    photograph,
    sheet,
    write_png,
)
from trainer.inspect.predictions import as_json, confident_mistakes
from trainer.panels.panel import Row
from trainer.panels.registry import panel
from trainer.panels.render import render
from trainer.panels.rows_curves import confusion_rows
from trainer.panels.rows_inspect import layer_rows, reliability_rows
from trainer.training.numerics import numerics

_MAPS = 16  # first maps of a layer that are shown
_FILTERS = 256
_MEASURED = 100  # test images for the layers' statistics
_NUMBERED = 25  # most classes for which a confusion matrix has room for numbers
_MOST_CLASSES = 100  # of a readable confusion matrix


@dataclass(frozen=True)
class Inspection:
    """The inspection of one network: its pictures and numbers."""

    network: InspectedNetwork
    folder: Path
    picture: int  # index of the test image that maps and Grad-CAM are of
    layers: Sequence[str]  # whose maps are shown
    images: int  # mistakes at most
    written: list[Path] = field(default_factory=list[Path])
    notes: list[str] = field(default_factory=list[str])

    def write(self) -> dict[str, Any]:
        """Write all pictures and inspect.json. Return the content of the latter. Raises DiskError.

        inspect.json is there before the pictures, so that no mistake in one of them loses the numbers.
        """
        with numerics(self.network.config.train):  # every number is computed here, on first use
            return self._write_all()

    def _write_all(self) -> dict[str, Any]:
        predictions, classes = self.network.predictions, self.network.classes
        make_folder(self.folder)
        if predictions.not_finite:
            total = len(predictions.labels)
            self.notes.append(f"the logits of {predictions.not_finite} of {total} test images are not finite")
        if note := channels_note(self.network.image_set.in_channels):
            self.notes.append(note)
        mistakes = confident_mistakes(predictions, self.images)
        numbers = {
            "run": self.network.run,
            "network": self.network.name,
            "data": self.network.image_set.name,
            "test_time_views": self.network.config.train.tta,
            **as_json(predictions, classes, mistakes),
            "picture": {
                "index": self.picture,
                "true": classes[self.true_class],
                "predicted": classes[self.predicted_class],
                "confidence": self.confidence,
                "maps_of": list(self.layers),
                "grad_cam_of": self.cam_layer,
            },
            "layers": {"images": min(_MEASURED, len(predictions.labels)), "rows": self.layer_rows},
        }
        path = self.folder / "inspect.json"
        write_json(path, numbers | {"notes": self.notes, "files": []}, indent=2)
        self._write_charts(numbers)
        self._write_mistakes(mistakes)
        self._write_filters()
        self._write_sheet("feature_maps", feature_map_sheet, bool(self.layers), "makes no maps: no feature maps")
        self._write_sheet("grad_cam", grad_cam_sheet, self.cam_layer is not None, "does not end in maps: no Grad-CAM")
        numbers["notes"], numbers["files"] = self.notes, [path.name for path in self.written]
        write_json(path, numbers, indent=2)
        self.written.append(path)
        return numbers

    @property
    def true_class(self) -> int:
        return int(self.network.predictions.labels[self.picture])

    @property
    def predicted_class(self) -> int:
        return int(self.network.predictions.classes[self.picture])

    @property
    def confidence(self) -> float | None:
        predictions = self.network.predictions
        return predictions.confidence[self.picture].item() if predictions.finite[self.picture] else None

    @property
    def raw(self) -> Tensor:
        """The test image [C, H, W] uint8."""
        return self.network.image_set.test.images[self.picture]

    @cached_property
    def cam_layer(self) -> str | None:
        return last_maps(self.network.model, self.network.shapes)

    @cached_property
    def layer_rows(self) -> list[Row]:
        count = min(_MEASURED, len(self.network.predictions.labels))
        return statistics(self.network.model, self.network.images(torch.arange(count)))

    @property
    def verdict(self) -> str:
        """`cat, predicted dog (63%)`."""
        shown = self.network.shown
        confidence = "" if self.confidence is None else f" ({self.confidence:.0%})"
        return f"{shown(self.true_class)}, predicted {shown(self.predicted_class)}{confidence}"

    def _write_charts(self, numbers: dict[str, Any]) -> None:
        network, tested = self.network, f"{numbers['images']:,} test images."
        if len(network.classes) <= _MOST_CLASSES:
            rows = confusion_rows(network.classes, numbers["confusion"]["counts"])
            self._write_chart("confusion_matrix", rows, tested)
        error = numbers["calibration"]["expected_calibration_error"]
        said = tested if error is None else f"{tested} Expected calibration error {error:.1%}."
        self._write_chart("reliability", reliability_rows(numbers, network.run), said)
        measured = f"{numbers['layers']['images']} test images."
        self._write_chart("layer_statistics", layer_rows(numbers, network.run), measured)

    def _write_chart(self, name: str, rows: list[Row], said: str) -> None:
        shown, network = panel(name), self.network
        whose = network.name if network.name == network.run else f"{network.name}, {network.run}"
        chart = shown.chart(rows, subtitle=[f"{whose}; {said}", shown.about])
        if name == "confusion_matrix" and (classes := len(network.classes)) > _NUMBERED:  # larger, without numbers
            chart |= {"width": 12 * classes, "height": 12 * classes, "layer": chart["layer"][:1]}
        path = self.folder / f"{name}.png"
        render(chart, path)
        self.written.append(path)

    def _write_mistakes(self, mistakes: Tensor) -> None:
        predictions, shown = self.network.predictions, self.network.shown
        if not len(mistakes):
            self.notes.append("no test image is mistaken for another class: no sheet of mistakes")
            return
        captions = [
            (
                f"{shown(int(predictions.labels[i]))} -> {shown(int(predictions.classes[i]))}",
                f"{predictions.confidence[i].item():.1%}",
            )
            for i in mistakes.tolist()
        ]
        self._write("mistakes", contact_sheet(self.network.image_set.test.images[mistakes], captions, columns=6))

    def _write_filters(self) -> None:
        filters = first_filters(self.network.model, self.network.shapes, channels=self.network.image_set.in_channels)
        if filters is None:
            self.notes.append(f"{self.network.name} does not begin with a convolution: no filters")
            return
        count, _, height, width = filters.weights.shape
        shown = filters.weights[:_FILTERS]
        cell = Cell(f"{filters.layer}: {_of(len(shown), count)} filters of {width}x{height}", filter_grid(shown))
        title = Column(f"First filters of {self.network.name}", self.network.run, [cell])
        self._write("filters", sheet([title], "Each filter over its own range of weights, in the layer's order."))

    def _write_sheet(
        self, name: str, draw: Callable[[Sequence["Inspection"]], Image.Image], possible: bool, otherwise: str
    ) -> None:
        if possible:
            self._write(name, draw([self]))
        else:
            self.notes.append(f"{self.network.name} {otherwise}")

    def _write(self, name: str, picture: Image.Image) -> None:
        path = self.folder / f"{name}.png"
        write_png(picture, path)
        self.written.append(path)


def inspections(
    networks: Sequence[InspectedNetwork],
    *,
    out: Path | None,
    images: int,
    picture: str | None,
    layers: Sequence[str],
) -> list[Inspection]:
    """Return an inspection of each network: into its run's folder, or into `out`, in a folder each of several.

    Raises ConfigError for unknown layers and pictures, and for networks that would be drawn to one place.
    """
    shapes = {name: shape for network in networks for name, shape in network.shapes.items()}
    check_layers(list(layers), shapes)
    if out and len({network.run for network in networks}) < len(networks):
        raise ConfigError("--out: two of the runs have the same name; inspect them one by one")
    if len({network.place.resolve() for network in networks}) < len(networks):
        raise ConfigError("inspect: one run is given twice; name each once")
    return [
        Inspection(
            network,
            network.place if out is None else out / network.run if len(networks) > 1 else out,
            network.find_picture(picture),
            [name for name in layers if name in network.shapes] or stages(network.model, network.shapes),
            images,
        )
        for network in networks
    ]


def write_side_by_side(inspections: Sequence[Inspection], folder: Path) -> list[Path]:
    """Write feature maps and Grad-CAM of several networks, as far as they have them. Raises DiskError."""
    make_folder(folder)
    written: list[Path] = []
    for name, draw, able in (
        ("feature_maps", feature_map_sheet, [inspection for inspection in inspections if inspection.layers]),
        ("grad_cam", grad_cam_sheet, [inspection for inspection in inspections if inspection.cam_layer]),
    ):
        if len(able) > 1:
            written.append(folder / f"{name}_side_by_side.png")
            write_png(draw(able), written[-1])
    return written


def feature_map_sheet(inspections: Sequence[Inspection]) -> Image.Image:
    """Draw a column for each network: the picture, then some maps of each layer."""
    columns: list[Column] = []
    for inspection in inspections:
        network = inspection.network
        images = network.images(torch.tensor([inspection.picture]))
        cells = [Cell(inspection.verdict, photograph(inspection.raw))]
        for name, maps in feature_maps(network.model, images, list(inspection.layers)).items():
            _, count, height, width = maps.shape
            shown = maps[0, :_MAPS]
            cells.append(Cell(f"{name}: {_of(len(shown), count)} maps of {width}x{height}", map_grid(shown)))
        columns.append(Column(network.name, network.run, cells))
    note = "Each map over its own range: black is its lowest value, white its highest."
    return sheet(columns, f"Test image {_pictures(inspections)}. {note}")


def grad_cam_sheet(inspections: Sequence[Inspection]) -> Image.Image:
    """Draw a column for each network: the picture, then its evidence for the predicted class and for the true one."""
    columns: list[Column] = []
    for inspection in inspections:
        network, layer = inspection.network, str(inspection.cam_layer)
        images = network.images(torch.tensor([inspection.picture]))
        cells = [Cell(inspection.verdict, photograph(inspection.raw))]
        for k in dict.fromkeys((inspection.predicted_class, inspection.true_class)):
            classes = torch.tensor([k], device=images.device)
            heat = grad_cam(network.model, images, layer, classes)[0].cpu()
            nothing = "" if heat.max() > 0 else ": nowhere"
            cells.append(Cell(f"{network.shown(k)}{nothing}", heat_over(inspection.raw, heat)))
        shape = network.shapes[layer]
        columns.append(Column(network.name, f"{layer}, {shape[3]}x{shape[2]}", cells))
    note = "evidence for a class, from black (none) to yellow (most)."
    return sheet(columns, f"Grad-CAM of test image {_pictures(inspections)}: {note}")


def _pictures(inspections: Sequence[Inspection]) -> str:
    return ", ".join(dict.fromkeys(str(inspection.picture) for inspection in inspections))


def _of(shown: int, count: int) -> str:
    return f"{count}" if shown == count else f"{shown} of {count}"
