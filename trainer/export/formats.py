"""Names of the formats, and what is checked before torch is imported."""

from importlib.util import find_spec
from pathlib import Path
from typing import Literal, cast, get_args

from trainer.config.explain import did_you_mean
from trainer.errors import ConfigError, DiskError, ExportError
from trainer.runs.kept import run_of, suffix_of

Format = Literal["safetensors", "onnx", "timm", "hub-folder"]
_ENDINGS: dict[Format, str] = {"safetensors": ".safetensors", "onnx": ".onnx", "timm": "-timm", "hub-folder": "-hub"}
_NEEDS: dict[Format, tuple[str, ...]] = {"onnx": ("onnx", "onnxscript", "onnxruntime")}  # the extra `export`


def read_format(name: str) -> Format:
    """Return a format by its name. Raises ConfigError for an unknown one, ExportError if the extra is not installed."""
    if name not in get_args(Format):
        raise ConfigError(f"--to: no format is called {name!r}{did_you_mean(name, get_args(Format))}")
    missing = [package for package in _NEEDS.get(cast("Format", name), ()) if find_spec(package) is None]
    if missing:
        raise ExportError(f"--to {name}: no {' and no '.join(missing)} here: pip install 'cifar-sweeps[export]'")
    return cast("Format", name)


def place_of(path: Path, to: Format, out: Path | None) -> Path:
    """Return where a run folder or checkpoint file is exported to: `out`, or `RUN/export/` and a name.

    Raises ConfigError if something is there or `out` has the ending of another format's file, DiskError if its folder
    is a file.
    """
    folder = run_of(path)
    name = folder.resolve().name + suffix_of(path)
    place = out or folder / "export" / f"{name}{_ENDINGS[to]}"
    for form, ending in _ENDINGS.items():
        if form != to and ending.startswith(".") and place.suffix.lower() == ending:
            raise ConfigError(f"--out: {place}: --to {to} writes no {ending}; write --to {form}")
    if place.exists() or place.is_symlink():
        raise ConfigError(f"{place}: exists; remove it, or give another place: --out PATH")
    there = next(each for each in place.absolute().parents if each.exists())
    if not there.is_dir():
        raise DiskError(f"{place}: cannot be made: {there} is not a directory")
    return place
