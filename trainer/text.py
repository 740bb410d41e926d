"""Numbers and tables as text, in one form for terminals and pages."""

import json
import re
from collections.abc import Collection, Sequence
from typing import Any

from trainer.statistics.describe import describe

NONE = "-"
"""Shown in place of a number that does not exist."""


_SURROGATES = re.compile("[\ud800-\udfff]+")
"""Characters that are no UTF-8: bytes of a file name as Python reads them, and halves of a pair of UTF-16."""


def writable(text: str) -> str:
    """Return a text that any file can hold. Bytes of a file name that are not UTF-8 are written out: `caf\\xe9`.

    JSON is made by `json_text`: a backslash in it would be one of JSON's own.
    """
    return _SURROGATES.sub(lambda found: _written(found[0]), text)


def json_text(value: Any, **options: Any) -> str:
    """Return what `json.dumps` does with these options, in UTF-8 and with texts that are `writable`."""
    text = json.dumps(value, ensure_ascii=False, **options)
    return _SURROGATES.sub(lambda found: json.dumps(_written(found[0]), ensure_ascii=False)[1:-1], text)


def _written(surrogates: str) -> str:
    try:
        return surrogates.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:
        return surrogates.encode("ascii", "backslashreplace").decode()


def number(value: float | None, *, digits: int | None = 2, unit: str = "") -> str:
    """Return `94.13%`: a number with `digits` decimals, or with four significant digits if `digits` is None."""
    return NONE if value is None else f"{value:.4g}{unit}" if digits is None else f"{value:.{digits}f}{unit}"


def spread(values: Collection[float], *, digits: int | None = 2, unit: str = "") -> str:
    """Return `94.13 ± 0.12% (n=3)`: mean, sample standard deviation and count. One value has no deviation.

    Without `digits`, the mean has four significant digits and the deviation two.
    """
    sample = describe(list(values))
    if sample is None:
        return NONE
    if sample.std is None:
        deviation = ""
    else:
        deviation = " ± " + (f"{sample.std:.2g}" if digits is None else f"{sample.std:.{digits}f}")
    return f"{number(sample.mean, digits=digits)}{deviation}{unit} (n={sample.n})"


def duration_text(seconds: float) -> str:
    """Return a time to two digits: `45 s`, `12 min`, `3.4 h`."""
    for unit, size, most in (("s", 1, 90), ("min", 60, 90), ("h", 3600, float("inf"))):
        if seconds / size < most:
            return f"{float(f'{seconds / size:.2g}'):g} {unit}"
    return ""


def metric_words(name: str) -> str:
    """Return a metric as a reader says it: `test accuracy`."""
    return name.replace("/", " ").replace("_", " ")


def table(rows: Sequence[Sequence[str]], *, right: Collection[int] = ()) -> str:
    """Return rows of cells, the header among them, as aligned columns. Columns in `right` are aligned right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(w) if i in right else cell.ljust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )
