"""Write what is made from the code, pages of docs/ and tables: `make docs`. A test compares them with the code."""

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from make_records import records_page
from make_speed import speed_page
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from trainer.config import RunConfig
from trainer.config.base import meanings
from trainer.config.explain import section_types
from trainer.config.model import network_table
from trainer.config.own import OwnPart
from trainer.files import write_whole
from trainer.published import experiments
from trainer.training.measured_networks import networks_json
from trainer.training.network_arguments import TABLE
from trainer.training.network_tables import NetworkRow, networks
from trainer.training.timm_names import TIMM_TABLE, timm_json

DOCS = Path(__file__).parent

_NETWORKS = """# Networks

The sizes of the networks are for 32x32 images, ten classes and three channels. `make docs` writes this page.

- *published*: the number of parameters as a paper or one of the [reports](reports.md) prints it. MB is
  the size of the saved weights, % what is added.
  *Unsettled*: the figure does not decide the layers, or these layers do not meet it.
- *MACs*: the multiply-adds of one image.
- *MiB at 128*: what a batch of 128 in float32 keeps for the backward pass, without the weights.

Every network is `features`, then `head` (`models/network.py`). Its arguments are keys of the `model` section:
`trainer models NAME` prints them above the layers. If a key is wrong, the message suggests the nearest valid one.
You choose `model.act`, `model.norm` and `model.init` by name ([the layers](../models/layers/__init__.py)).

- `model.init=paper` is the scheme named below. It is the paper's own, or torch's if none is known or the note says so.
  `torch` is uniform within 1 / sqrt(fan in), `kaiming` He et al. 2015, eq. 14, `xavier` Glorot & Bengio 2010.
- `model.norm=group` makes 32 groups of channels, or as many as divide both 32 and the channels. Layers of 16 or 32
  channels, as in `resnet20` and many stems, get one group per channel, which is instance norm. `densenet100_bc` gets 2
  groups at 150 channels, and 2 again at 162.
- For VGG with BatchNorm, set `model.norm=batch`. `vgg_a_bn` and `fastresnet9` have no `norm` key, as theirs is fixed.
- Gather-excite (GENet) is a layer, [`GatherExcite`](../models/layers/gather_excite.py). `ge_resnext29_8x64d` is built
  with it, with `model.extent` and `model.theta`.
- `timm/NAME` builds any timm network as it is in timm: without `features` and `head`, feature maps by name or trained
  weights. `model.stem=cifar` fits its stem to small images if it begins with an overlapping plain convolution of stride
  2. Every other key is an argument of timm's.
"""


def networks_page() -> str:
    """Return the text of docs/networks.md."""
    rows = networks()  # of the table, whose test measures them
    header = list(rows[0].cells())
    lines = [header, ["---", "---:", "---:", "---:", "---:", "---"], *(list(row.cells().values()) for row in rows)]
    table = [f"| {' | '.join(line)} |" for line in lines]
    return _linked("\n".join([_NETWORKS, *table, "", "## Descriptions and differences", "", *map(_entry, rows), ""]))


def _linked(text: str) -> str:
    """Return a page in which each id of a report leads to its section."""
    ids = "|".join({experiment.report for experiment in experiments()})
    return re.sub(rf"\b({ids})\b", r"[\1](reports.md#\1)", text)


def _entry(row: NetworkRow) -> str:
    return f"- `{row.name}`: {row.about} `init=paper`: {row.init}." + (f" *{row.note}*" if row.note else "")


# choices.md

_KINDS = {int: "whole number", float: "number", bool: "true or false", str: "text", dict: "keys and values"}
_SIGNS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}


def choices_page() -> str:
    """Return the text of docs/choices.md."""
    parts = [_HEAD]
    scalars = [key for key, field in RunConfig.model_fields.items() if not section_types(field.annotation)]
    fields, said = RunConfig.model_fields, meanings(RunConfig)
    parts.append(_HEADER + "\n".join(_row(key, fields[key], said.get(key, "")) for key in scalars) + "\n")
    for key, field in RunConfig.model_fields.items():
        parts += _section(key, field, depth=2)
    return "\n".join(parts)


_HEAD = """# Every choice

You can set each key on the command line (`KEY=VALUE`), in a `--config` file and in a sweep. If a section has a `name`,
the name decides which other keys it has. A new name drops the keys of the old choice. `make docs` writes this page from
the config classes. The keys of `model` are the arguments of its network: see `trainer models NAME`. `FILE.py:NAME` is a
part of your own, whose arguments are keys, too: [Write your own](own.md).
"""


def _section(key: str, field: FieldInfo, depth: int) -> Iterator[str]:
    """Yield a section, or each choice of a union of sections, with the sections in it."""
    options = section_types(field.annotation)
    if not any(option.model_fields for option in options):
        return
    yield f"{'#' * depth} `{key}`\n"
    tables = [_rows(option, key, named=len(options) == 1) for option in options]
    trainers = [table for option, table in zip(options, tables, strict=True) if not issubclass(option, OwnPart)]
    shared = {row for row in tables[0] if all(row in table for table in trainers)} if len(trainers) > 1 else set[str]()
    for option, table in zip(options, tables, strict=True):
        named = option.model_fields.get("name")
        if len(options) > 1 and named:
            other = "FILE.py:NAME" if issubclass(option, OwnPart) else "timm/NAME"
            name = named.default if isinstance(named.default, str) else other
            default = "(the default)" if option is type(field.get_default(call_default_factory=True)) else ""
            yield " ".join(filter(None, [f"**`{key}.name={name}`**", default, _about(option)])) + "\n"
        elif about := _about(option):
            yield f"{about}\n"
        own = [row for row in table if row not in shared]
        if own:
            yield _HEADER + "\n".join(own) + "\n"
    by_all = {row for row in shared if all(row in table for table in tables)}
    for whose, rows in (
        (f"choice of `{key}`", by_all),
        (f"other choice than `{key}.name=FILE.py:NAME`", shared - by_all),
    ):
        if rows:
            yield f"Every {whose} takes:\n"
            yield _HEADER + "\n".join(row for row in tables[0] if row in rows) + "\n"
    inner = {
        name: part for option in options for name, part in option.model_fields.items() if section_types(part.annotation)
    }
    for name, part in inner.items():
        yield from _section(f"{key}.{name}", part, depth + 1)


_HEADER = "| key | type | default | meaning |\n|---|---|---|---|\n"


def _rows(option: type[BaseModel], prefix: str, *, named: bool) -> list[str]:
    """Return a row for each plain key. `name` is one of them if it does not choose between options."""
    fields = option.model_fields.items()
    plain = [(key, field) for key, field in fields if not section_types(field.annotation) and (named or key != "name")]
    said = meanings(option)
    return [_row(f"{prefix}.{key}", field, said.get(key, "")) for key, field in plain]


def _row(key: str, field: FieldInfo, meaning: str) -> str:
    default = "required" if field.is_required() else f"`{_shown(field.get_default(call_default_factory=True))}`"
    meaning = " ".join(meaning.split()).replace("|", "\\|")
    return f"| `{key}` | {_kind(field.annotation, field.metadata)} | {default} | {meaning} |"


def _kind(annotation: Any, metadata: list[Any]) -> str:
    """Return a type in words: `number > 0`, `a or b`, `list: whole number`."""
    bounds = [f"{_SIGNS[sign]} {value:g}" for each in metadata for sign, value in _bounds(each)]
    return " ".join([_plain_kind(annotation), *bounds])


def _bounds(constraint: Any) -> Iterator[tuple[str, float]]:
    for sign in _SIGNS:
        if (value := getattr(constraint, sign, None)) is not None:
            yield sign, value
    for inner in getattr(constraint, "metadata", ()):
        yield from _bounds(inner)


def _plain_kind(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _kind(arguments[0], list(arguments[1:]))
    if origin is Literal:
        return " or ".join(f"`{str(each).lower() if isinstance(each, bool) else each}`" for each in arguments)
    if origin in (Union, UnionType):
        return " or ".join("null" if each is NoneType else _plain_kind(each) for each in arguments)
    if origin is tuple:
        return f"list: {_plain_kind(arguments[0])}"
    return _KINDS.get(origin or annotation, "path" if "Path" in str(annotation) else str(annotation))


def _shown(value: Any) -> str:
    if value is None or value is PydanticUndefined:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return str(list(value)) if isinstance(value, tuple) else f"{value:g}" if isinstance(value, float) else str(value)


def _about(option: type[BaseModel]) -> str:
    own = option.__doc__ if option.__doc__ and option.__doc__ != BaseModel.__doc__ else ""
    return re.sub(r"\s+", " ", own).strip()


# files.md

_FILES = """# Every file

What each file of `trainer/` and `models/` holds, by its own first line. [Architecture](architecture.md) has the rooms
and why they are so. `make docs` writes this page.
"""


def files_page() -> str:
    """Return the text of docs/files.md: a section for each folder with code, a row for each file."""
    parts = [_FILES]
    root = DOCS.parent
    for folder in sorted({path.parent for top in ("trainer", "models") for path in (root / top).rglob("*.py")}):
        place = folder.relative_to(root).as_posix()
        lines = {path.name: first_line(path) for path in sorted(folder.glob("*.py"))}
        parts.append(f"## `{place}/`\n")
        if about := lines.pop("__init__.py", ""):
            parts.append(f"{about}\n")
        if lines:
            rows = [f"| [`{name}`](../{place}/{name}) | {line} |" for name, line in lines.items()]
            parts.append("\n".join(["| file | holds |", "|---|---|", *rows, ""]))
    return _linked("\n".join(parts))


def first_line(path: Path) -> str:
    """Return the first line of a module's docstring, empty if it has none."""
    said = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return said.partition("\n")[0].replace("|", "\\|")


PAGES: dict[str, Callable[[], str]] = {
    "choices.md": choices_page,
    "files.md": files_page,
    "networks.md": networks_page,
    "records.md": records_page,
    "results/speed.md": speed_page,
}
TABLES: dict[Path, Callable[[], str]] = {TABLE: networks_json, TIMM_TABLE: timm_json}


def main() -> None:
    """Write every page, and the tables that the trainer reads."""
    for path, table in TABLES.items():
        write_whole(path, table().encode())
    network_table.cache_clear()
    for name, page in PAGES.items():
        write_whole(DOCS / name, page().encode())


if __name__ == "__main__":
    main()
