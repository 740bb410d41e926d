"""Text of an own part: where it is, what names it has, and its hash. Needs no torch, unless a package loads it."""

import ast
import contextlib
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path, PurePosixPath

from trainer.config.explain import did_you_mean
from trainer.config.own import packaged
from trainer.errors import ConfigError, first_line
from trainer.own.quiet import raised, says_nothing

_DIGITS = 12  # of a hash: one pair of a million texts in 300 has the same
_OURS = ("trainer", "models")
_LIBRARIES = ("torch", "torchvision", "timm")
"""Libraries of the trainer itself. It counts on a release by its version, which all of its builds have."""
ENCODING = "utf-8-sig"  # some editors begin a text with a byte order mark, which Python itself skips

_remembered: dict[str, tuple[str, str]] = {}  # hash -> (name of the file, its text), of run folders


@dataclass(frozen=True)
class Source:
    """A name in a text."""

    section: str  # such as `model`
    name: str  # as typed
    attribute: str  # in the text
    file: str  # a path as typed, or that of a module's file. It may be gone, if the text is a run folder's
    module: str | None  # None for a file
    text: str
    code: str  # hash of the text, or of all texts of a module's package, or of a library's release

    @property
    def kept_as(self) -> str:
        """Return the name of its copy in a run folder's `own/`."""
        return f"{self.module}.py" if self.module else PurePosixPath(self.file).name

    def mistake(self, message: str) -> ConfigError:
        """Return an error about it: `model.name: my_nets.py:MyNet: MESSAGE`."""
        return ConfigError(f"{self.section}.name: {self.name}: {message}")


def find(section: str, name: str, code: str | None = None) -> Source:
    """Return the text that a name means.

    With `code`, it is a text of that hash: the file's as it is now, or else one of a remembered folder. Raises
    ConfigError for a missing or unreadable file, a syntax error, a name that the text does not have, or another text.
    """
    reference = packaged(section).get(name, name) if ":" not in name else name
    where, _, attribute = reference.rpartition(":")
    if not where and reference.endswith(".py"):
        where = reference
        attribute = ""
    start = f"{section}.name: {name}"
    if where.endswith(".py"):
        found = _in_file(section, name, where, attribute, code)
    else:
        found = _in_module(section, name, where, attribute)
    if code is not None and found.code != code:
        said = f"{found.file} has another text now: its hash was {code}, and is {found.code}"
        raise ConfigError(f"{section}.code: {said}")
    if not attribute:
        raise ConfigError(f"{start}: which name in it? Write {where}:NAME{did_you_mean('', _public(found.text))}")
    names = _names(found.text)
    if names is not None and attribute.partition(".")[0] not in names:
        raise ConfigError(f"{start}: no {attribute} in it{did_you_mean(attribute, _public(found.text))}")
    return found


def remember(folder: Path) -> None:
    """Let `find` take texts from `FOLDER/own`, where a run or a sweep has kept them."""
    with contextlib.suppress(OSError):  # such as a name that is too long for a folder's
        for path in sorted((folder / "own").glob("*.py")):
            with contextlib.suppress(OSError, UnicodeDecodeError):  # it is not there, as far as anybody can use it
                remember_text(path.name, path.read_text(encoding=ENCODING))


def remember_text(name: str, text: str) -> None:
    """Let `find` take this text, if its hash is asked for and the file has another one."""
    _remembered.setdefault(hash_of(text), (name, text))


def hash_of(text: str) -> str:
    """Return twelve hex digits of the SHA-256 of a text, whose lines end in the same way everywhere."""
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]


def path_of(file: str) -> Path:
    """Return the path of a file as typed, with `~` in full. Raises ValueError for the home of nobody."""
    try:
        return Path(file).expanduser()
    except RuntimeError as error:
        raise ValueError(first_line(error)) from error


def is_file(file: str) -> bool:
    try:
        return path_of(file).is_file()
    except (OSError, ValueError):
        return False


def _in_file(section: str, name: str, file: str, attribute: str, code: str | None) -> Source:
    path, text, problem = Path(file), None, None
    try:
        path = path_of(file)
        text = path.read_text(encoding=ENCODING)
    except FileNotFoundError:
        there = [each.stem for each in path.parent.glob("*.py")]  # a common ending would make any two names alike
        problem = f"no such file{did_you_mean(path.stem, there, suffix=path.suffix)}"
    except IsADirectoryError:
        problem = "a folder, not a file"
    except UnicodeDecodeError:
        problem = "not UTF-8 text"
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte, or the home of nobody
        problem = first_line(error)
    if code is not None and (text is None or hash_of(text) != code) and code in _remembered:
        text = _remembered[code][1]
    if text is None:
        raise ConfigError(f"{section}.name: {file}: {problem}")
    try:
        tree = _tree(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = f"line {error.lineno}: " if isinstance(error, SyntaxError) and error.lineno else ""
        said = error.msg if isinstance(error, SyntaxError) else first_line(error)
        raise ConfigError(f"{section}.name: {file}: {line}{type(error).__name__}: {said}") from error
    for line, beside in _imports(tree):
        if beside not in _OURS and _lies_in(path.parent, beside):
            raise ConfigError(
                f"{section}.name: {file}: line {line}: imports {beside}, which lies beside it and may change unseen; "
                "write all of it in one file, or install a package"
            )
    return Source(section, name, attribute, file, None, text, hash_of(text))


def _in_module(section: str, name: str, module: str, attribute: str) -> Source:
    start = f"{section}.name: {name}"
    top = module.partition(".")[0]
    spec = None
    if all(part.isidentifier() for part in module.split(".")):
        try:
            with says_nothing():
                spec = find_spec(module)  # imports the packages above it
        except ModuleNotFoundError as error:
            if not module.startswith(f"{error.name}"):
                raise ConfigError(f"{start}: {raised(error)}") from error
        except (Exception, SystemExit) as error:
            raise ConfigError(f"{start}: {raised(error)}") from error
    if spec is None or spec.origin is None:
        raise ConfigError(f"{start}: no module called {module!r} is installed; for a file, write FILE.py:NAME")
    text, code = _texts(module, top)
    return Source(section, name, attribute, spec.origin, module, text, code)


@cache
def _texts(module: str, top: str) -> tuple[str, str]:
    """Return (the text of a module, the hash of all texts in its outermost package, or of the release of a library)."""
    spec = find_spec(module)
    assert spec and spec.origin
    digest = hashlib.sha256()
    if release := _release(top):
        digest.update(f"{top} {release}\n".encode())
    else:
        package = find_spec(top)
        for folder in sorted(package.submodule_search_locations or [] if package else []):
            for path in sorted(path for path in Path(folder).rglob("*.py") if path.is_file()):  # no editor's locks
                digest.update(f"{path.relative_to(folder)}\n".encode())
                digest.update(path.read_bytes())
    own = Path(spec.origin).read_bytes() if Path(spec.origin).is_file() else b""
    digest.update(own)
    return own.decode("utf-8", errors="replace"), digest.hexdigest()[:_DIGITS]


def _release(package: str) -> str | None:
    """Return the version of a library of the trainer's. None for other packages, and for builds between releases."""
    found = re.match(r"[\d.]+(?=\+|$)", version(package)) if package in _LIBRARIES else None  # 2.12.0+cpu is 2.12.0
    return found and found[0]


def _lies_in(folder: Path, module: str) -> bool:
    """Return whether an import of `module` would take it from this folder, or fail although it is there."""
    there = [path for path in (folder / f"{module}.py", folder / module / "__init__.py") if path.is_file()]
    if not there:
        return False
    spec = find_spec(module)
    return spec is None or spec.origin is None or Path(spec.origin).resolve() in [path.resolve() for path in there]


@cache
def _tree(text: str) -> ast.Module:
    return ast.parse(text)


def _imports(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield (line, outermost package) of each import in a text."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, each.name.partition(".")[0]) for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.lineno, node.module.partition(".")[0]


@cache
def _names(text: str) -> frozenset[str] | None:
    """Return the names that a text defines, None if only Python can tell."""
    try:
        return frozenset(_defined(_tree(text).body))
    except (SyntaxError, ValueError):  # the text of an extension, or names from `import *`
        return None


def _public(text: str) -> list[str]:
    """Return the classes and functions that a text defines for others."""
    kinds = (ast.ClassDef, ast.FunctionDef)
    return [each.name for each in _tree(text).body if isinstance(each, kinds) and not each.name.startswith("_")]


def _defined(body: list[ast.stmt]) -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name
        elif isinstance(node, ast.Import | ast.ImportFrom):
            for each in node.names:
                if each.name == "*":
                    raise ValueError("names from a star")
                yield each.asname or each.name.partition(".")[0]
        else:
            yield from (each.id for each in ast.walk(node) if isinstance(each, ast.Name))
            inner = [each for each in ast.walk(node) if each is not node and isinstance(each, ast.stmt)]
            yield from _defined(inner)
