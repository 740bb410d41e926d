"""Own code run: a text becomes a module once, and a name in it an object."""

import contextlib
import importlib
import linecache
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from trainer.own.quiet import raised, says_nothing
from trainer.own.source import ENCODING, Source, hash_of, path_of

_modules: dict[tuple[str, str], ModuleType] = {}


def load(source: Source) -> Any:
    """Return the object that a source names. Its text is run once in a process.

    Raises ConfigError if that fails, if the name is not there, or if it is nothing that can be called.
    """
    try:
        with says_nothing(), _draws_nothing():
            module = importlib.import_module(source.module) if source.module else _from_text(source)
    except (Exception, SystemExit) as error:
        raise source.mistake(f"cannot be imported: {raised(error, place_of(source))}") from error
    found: Any = module
    for part in source.attribute.split("."):
        if not hasattr(found, part):
            raise source.mistake(f"no {source.attribute} in it")
        found = getattr(found, part)
    if not callable(found):
        raise source.mistake(f"a value of type {type(found).__name__}, neither a class nor a function")
    return found


@contextlib.contextmanager
def _draws_nothing() -> Iterator[None]:
    """Restore the generators, so that a text that draws numbers as it is run changes no weight of a network."""
    if "torch" not in sys.modules:  # nothing has drawn yet, and importing it takes seconds
        yield
        return
    from trainer.seeds import draws_forgotten

    with draws_forgotten():
        yield


def place_of(source: Source) -> str:
    """Return the file name that Python has for a text: its path, if that still has it."""
    if source.module:
        return source.file
    with contextlib.suppress(OSError, ValueError):  # ValueError: not UTF-8 text, or the home of nobody
        path = path_of(source.file)
        if hash_of(path.read_text(encoding=ENCODING)) == source.code:
            return str(path.absolute())
    return f"<{source.kept_as} as it was, {source.code}>"


def _from_text(source: Source) -> ModuleType:
    key = source.file, source.code
    if key not in _modules:
        place = place_of(source)
        module = ModuleType(f"own_{Path(source.file).stem}_{source.code}")
        module.__file__ = place
        if place.startswith("<"):  # so that a traceback shows the lines of this text
            lines = source.text.splitlines(keepends=True)
            linecache.cache[place] = (len(source.text), None, lines, place)
        sys.modules[module.__name__] = module  # dataclasses look their module up there
        try:
            exec(compile(source.text, place, "exec"), module.__dict__)
        except BaseException:
            del sys.modules[module.__name__]
            raise
        _modules[key] = module
    return _modules[key]
