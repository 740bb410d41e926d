"""`trainer inspect`: pictures of what a network sees, and all numbers in inspect.json."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from trainer.errors import ConfigError
from trainer.files import disk_errors, write_whole
from trainer.inspect.grad_cam import grad_cam
from trainer.inspect.layers import check_layers, feature_maps, first_filters, last_maps, stages, statistics
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
from trainer.inspect.subject import Subject
from trainer.panels.registry import panel
from trainer.panels.render import render
from trainer.panels.rows_curves import confusion
from trainer.panels.rows_inspect import layer_rows, reliability_rows
from trainer.runs.history import History

_MAPS = 16  # of a layer, the first
_FILTERS = 256
_MEASURED = 100  # test images that the layers' statistics are taken over
_NUMBERED = 25  # classes at most in whose confusion matrix there is room for numbers
_MOST_CLASSES = 100  # of a confusion matrix that can be read


@dataclass(frozen=True)
class Inspection:
    """One network's."""

    subject: Subject
    folder: Path
    picture: int
    layers: Sequence[str]  # whose maps are shown
    images: int  # mistakes at most
    written: list[Path] = field(default_factory=list[Path])
    notes: list[str] = field(default_factory=list[str])

    def write(self) -> dict[str, Any]:
        """Write all pictures and inspect.json; what it holds. Raises DiskError."""
        subject, found = self.subject, self.subject.found
        with disk_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        if found.not_finite:
            self.notes.append(f"the logits of {found.not_finite} of {len(found.labels)} test images are not finite")
        mistakes = confident_mistakes(found, self.images)
        names = subject.image_set.class_names
        numbers = {
            "run": subject.name,
            "network": subject.network,
            "data": subject.image_set.name,
            "test_time_views": subject.config.train.tta,
            **as_json(found, names, mistakes),
            "picture": {
                "index": self.picture,
                "true": names[self.true_class],
                "predicted": names[self.predicted_class],
                "confidence": None if (sure := self.confidence) is None else sure,
                "maps_of": list(self.layers),
                "grad_cam_of": self.cam_layer,
            },
            "layers": {"images": min(_MEASURED, len(found.labels)), "rows": self.layer_rows},
        }
        self._charts(numbers)
        self._mistakes(mistakes)
        self._filters()
        self._pixels("feature_maps", feature_map_sheet, bool(self.layers), "makes no maps: no feature maps")
        self._pixels("grad_cam", grad_cam_sheet, self.cam_layer is not None, "does not end in maps: no Grad-CAM")
        numbers["notes"], numbers["files"] = self.notes, [path.name for path in self.written]
        path = self.folder / "inspect.json"
        write_whole(path, (json.dumps(numbers, indent=2, allow_nan=False) + "\n").encode())
        self.written.append(path)
        return numbers

    @property
    def true_class(self) -> int:
        return int(self.subject.found.labels[self.picture])

    @property
    def predicted_class(self) -> int:
        return int(self.subject.found.classes[self.picture])

    @property
    def confidence(self) -> float | None:
        found = self.subject.found
        return found.confidence[self.picture].item() if found.finite[self.picture] else None

    @property
    def raw(self) -> Tensor:
        """[C, H, W] uint8."""
        return self.subject.image_set.test.images[self.picture]

    @cached_property
    def cam_layer(self) -> str | None:
        return last_maps(self.subject.model, self.subject.shapes)

    @cached_property
    def layer_rows(self) -> list[dict[str, Any]]:
        count = min(_MEASURED, len(self.subject.found.labels))
        return statistics(self.subject.model, self.subject.pictures(torch.arange(count)))

    @property
    def verdict(self) -> str:
        """`cat, predicted dog (63%)`."""
        names = self.subject.image_set.class_names
        sure = "" if self.confidence is None else f" ({self.confidence:.0%})"
        return f"{names[self.true_class]}, predicted {names[self.predicted_class]}{sure}"

    def _charts(self, numbers: dict[str, Any]) -> None:
        names, counts, count = self.subject.image_set.class_names, numbers["confusion"]["counts"], numbers["images"]
        if len(names) <= _MOST_CLASSES:
            history = History(self.subject.folder, {}, [], {}, counts, list(names))
            chart = self._chart("confusion_matrix", confusion([history]), f"{count:,} test images.")
            self._draw("confusion_matrix", _roomy(chart, len(names)))
        error = numbers["calibration"]["expected_calibration_error"]
        said = f"{count:,} test images." + ("" if error is None else f" Expected calibration error {error:.1%}.")
        self._draw("reliability", self._chart("reliability", reliability_rows(numbers, self.subject.name), said))
        said = f"{numbers['layers']['images']} test images."
        self._draw("layer_statistics", self._chart("layer_statistics", layer_rows(numbers, self.subject.name), said))

    def _chart(self, name: str, rows: list[dict[str, Any]], said: str) -> dict[str, Any]:
        about, subject = panel(name), self.subject
        whose = subject.network if subject.network == subject.name else f"{subject.network}, {subject.name}"
        return about.chart(rows, subtitle=[f"{whose}; {said}", about.about])

    def _draw(self, name: str, chart: dict[str, Any]) -> None:
        path = self.folder / f"{name}.png"
        render(chart, path)
        self.written.append(path)

    def _mistakes(self, mistakes: Tensor) -> None:
        found, names = self.subject.found, self.subject.image_set.class_names
        if not len(mistakes):
            self.notes.append("no test image is taken for another class: no sheet of mistakes")
            return
        captions = [
            f"{names[int(found.labels[i])]} -> {names[int(found.classes[i])]}\n{found.confidence[i].item():.1%}"
            for i in mistakes.tolist()
        ]
        self._write("mistakes", contact_sheet(self.subject.image_set.test.images[mistakes], captions, columns=6))

    def _filters(self) -> None:
        filters = first_filters(self.subject.model, self.subject.shapes)
        if filters is None:
            self.notes.append(f"{self.subject.network} does not begin with a convolution: no filters")
            return
        count, _, height, width = filters.weights.shape
        shown = filters.weights[:_FILTERS]
        cell = Cell(f"{filters.layer}: {_of(len(shown), count)} filters of {width}x{height}", filter_grid(shown))
        title = Column(f"First filters of {self.subject.network}", self.subject.name, [cell])
        self._write("filters", sheet([title], "Each filter over its own range of weights, in the layer's order."))

    def _pixels(
        self, name: str, draw: Callable[[Sequence["Inspection"]], Image.Image], possible: bool, otherwise: str
    ) -> None:
        if possible:
            self._write(name, draw([self]))
        else:
            self.notes.append(f"{self.subject.network} {otherwise}")

    def _write(self, name: str, picture: Image.Image) -> None:
        path = self.folder / f"{name}.png"
        write_png(picture, path)
        self.written.append(path)


def inspections(
    subjects: Sequence[Subject], *, out: Path | None, images: int, picture: str | None, layers: Sequence[str]
) -> list[Inspection]:
    """One for each network: into RUN/inspect, or into `out`, where several have a folder each by their names. Raises
    ConfigError for layers and pictures that there are not."""
    everywhere = {name: shape for subject in subjects for name, shape in subject.shapes.items()}
    check_layers(list(layers), everywhere)
    if out and len({subject.name for subject in subjects}) < len(subjects):
        raise ConfigError("--out: two of the runs have one name; inspect them one by one")
    return [
        Inspection(
            subject,
            subject.folder / "inspect" if out is None else out / subject.name if len(subjects) > 1 else out,
            subject.picture(picture),
            [name for name in layers if name in subject.shapes] or stages(subject.model, subject.shapes),
            images,
        )
        for subject in subjects
    ]


def write_side_by_side(looks: Sequence[Inspection], folder: Path) -> list[Path]:
    """Feature maps and Grad-CAM of several networks, as far as they have them. Raises DiskError."""
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    for name, draw, able in (
        ("feature_maps", feature_map_sheet, [look for look in looks if look.layers]),
        ("grad_cam", grad_cam_sheet, [look for look in looks if look.cam_layer]),
    ):
        if len(able) > 1:
            written.append(folder / f"{name}_side_by_side.png")
            write_png(draw(able), written[-1])
    return written


def feature_map_sheet(looks: Sequence[Inspection]) -> Image.Image:
    """A column a network: the picture, then some maps of each layer."""
    columns: list[Column] = []
    for look in looks:
        images = look.subject.pictures(torch.tensor([look.picture]))
        cells = [Cell(look.verdict, photograph(look.raw))]
        for name, maps in feature_maps(look.subject.model, images, list(look.layers)).items():
            _, count, height, width = maps.shape
            shown = maps[0, :_MAPS]
            cells.append(Cell(f"{name}: {_of(len(shown), count)} maps of {width}x{height}", map_grid(shown)))
        columns.append(Column(look.subject.network, look.subject.name, cells))
    index = ", ".join(dict.fromkeys(str(look.picture) for look in looks))
    return sheet(
        columns, f"Test image {index}. Each map over its own range: black is its least value, white its largest."
    )


def grad_cam_sheet(looks: Sequence[Inspection]) -> Image.Image:
    """A column a network: the picture, then where it sees the class that it predicts, and the true one."""
    columns: list[Column] = []
    for look in looks:
        names, layer = look.subject.image_set.class_names, str(look.cam_layer)
        images = look.subject.pictures(torch.tensor([look.picture]))
        cells = [Cell(look.verdict, photograph(look.raw))]
        for k in dict.fromkeys((look.predicted_class, look.true_class)):
            classes = torch.tensor([k], device=images.device)
            heat = grad_cam(look.subject.model, images, layer, classes)[0].cpu()
            nothing = "" if heat.max() > 0 else ": nowhere"
            cells.append(Cell(f"{names[k]}{nothing}", heat_over(look.raw, heat)))
        shape = look.subject.shapes[layer]
        columns.append(Column(look.subject.network, f"{layer}, {shape[3]}x{shape[2]}", cells))
    index = ", ".join(dict.fromkeys(str(look.picture) for look in looks))
    return sheet(
        columns, f"Grad-CAM of test image {index}: what speaks for a class, from black, nothing, to yellow, most."
    )


def _roomy(chart: dict[str, Any], classes: int) -> dict[str, Any]:
    """A confusion matrix of many classes is larger, and shades must do without numbers."""
    if classes > _NUMBERED:
        chart |= {"width": 12 * classes, "height": 12 * classes, "layer": chart["layer"][:1]}
    return chart


def _of(shown: int, count: int) -> str:
    return f"{count}" if shown == count else f"{shown} of {count}"
