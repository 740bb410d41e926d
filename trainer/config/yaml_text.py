"""YAML into plain values. Any text gives values, or a reason of one line: never another error, never more memory."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import yaml

MOST_CHARACTERS = 1_000_000  # PyYAML reads about 100,000 in a second
MOST_VALUES = 1_000_000
_MOST_BITS = 1000  # of a whole number: a float holds up to 1023, and Python prints no more than 4,300 digits


class _Loader(yaml.SafeLoader):
    """Safe loading, without whole numbers that no float can hold."""

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        value = super().construct_yaml_int(node)  # pyright: ignore[reportUnknownMemberType]
        if value.bit_length() > _MOST_BITS:
            raise ValueError(f"line {node.start_mark.line + 1}: a whole number above 1e300")
        return value


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)  # pyright: ignore[reportUnknownMemberType]


def read_whole(path: Path) -> str:
    """Return the text of a file. Raises ValueError with the reason why it cannot be settings."""
    try:
        with path.open(encoding="utf-8-sig") as file:  # some editors begin a file with a byte order mark
            text = file.read(MOST_CHARACTERS + 1)
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError((error.strerror if isinstance(error, OSError) else None) or "not UTF-8 text") from error
    except ValueError as error:  # a name with a zero byte
        raise ValueError(str(error)) from error
    if len(text) > MOST_CHARACTERS:
        raise ValueError(f"longer than {MOST_CHARACTERS:,} characters")
    return text


def read_tree(text: str, as_text: Callable[[str], object] | None = None) -> tuple[yaml.Node | None, Any]:
    """Return (the tree, its values) of a text. Raises ValueError with the reason, one line, if there are none.

    Where `as_text` says so of a dotted key, what YAML 1.1 reads as a number, date or truth value stays text: `0123456`.
    """
    if len(text) > MOST_CHARACTERS:
        raise ValueError(f"longer than {MOST_CHARACTERS:,} characters")
    try:
        return _read_tree(text, as_text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    except (AttributeError, KeyError, TypeError) as error:  # PyYAML's own, of `!!bool x` and `!!timestamp x`
        raise ValueError("not YAML: a value does not have the type of its !!tag") from error
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # ValueError: a date such as 2026-99-99
        raise ValueError(f"not YAML: {' '.join(str(error).split())}") from error


def _read_tree(text: str, as_text: Callable[[str], object] | None) -> tuple[yaml.Node | None, Any]:
    loader = _Loader(text)
    tree = loader.get_single_node()
    if tree is None:
        return None, None
    if _size(tree, {}) > MOST_VALUES:
        raise ValueError(f"its aliases make more than {MOST_VALUES:,} values of it")
    if as_text:
        for key, node in scalars(tree):
            if node.style is None and node.tag in _NO_TEXT and as_text(key):
                node.tag = "tag:yaml.org,2002:str"
    return tree, cast("Any", loader.construct_document(tree))  # pyright: ignore[reportUnknownMemberType]


_NUMBERS = {f"tag:yaml.org,2002:{kind}" for kind in ("int", "float")}
_NO_TEXT = _NUMBERS | {f"tag:yaml.org,2002:{kind}" for kind in ("bool", "timestamp")}


def scalars(node: yaml.Node | None, key: str = "") -> Iterator[tuple[str, yaml.ScalarNode]]:
    """Yield (dotted key, node) of each plain value. Items of a list have its key."""
    if isinstance(node, yaml.ScalarNode):
        yield key, node
    elif isinstance(node, yaml.SequenceNode):
        for each in node.value:
            yield from scalars(each, key)
    elif isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            inner = name.value if isinstance(name, yaml.ScalarNode) else "?"
            yield from scalars(value, key if inner == "<<" else f"{key}.{inner}" if key else inner)


def misread(key: str, node: yaml.ScalarNode) -> str:
    """Return a line if YAML 1.1 reads a number as few people do, else nothing: `010` is 8 there, and `1:30` is 90."""
    text = str(node.value)
    if node.style is not None or node.tag not in _NUMBERS or not re.fullmatch(r"[-+]?(0[0-7_]+|.*:.*)", text):
        return ""
    value, base_60 = yaml.safe_load(text), ":" in text
    meant = value if base_60 else int(text.replace("_", ""))
    if value == meant and not base_60:  # 07 is 7
        return ""
    line = node.start_mark.line + 1
    return f"line {line}: {key}: {text} is {value} to YAML 1.1; write {meant}, or {text!r} if it is text"


def _size(node: yaml.Node, known: dict[int, int]) -> int:
    """Return the number of values in a tree whose aliases are written out. Raises ValueError if it contains itself."""
    if id(node) in known:
        if known[id(node)] == 0:
            raise ValueError(f"line {node.start_mark.line + 1}: an alias inside of what it stands for")
        return known[id(node)]
    known[id(node)] = 0
    total = 1
    for child in _children(node):
        total += _size(child, known)
    known[id(node)] = total
    return total


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [each for pair in node.value for each in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []
