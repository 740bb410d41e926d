"""A trace as text, to the bit: about 3 bytes a step once gzip has packed it, where JSON takes 9.

Steps are stretches of one distance, `[first, distance, count]`. Values are `f4:BASE64` or `f8:BASE64`: float32 where
that has each value exactly, little-endian, all first bytes before all second ones, so that gzip meets like bytes
together.
"""

import base64
import binascii
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from trainer.runs.outcomes import Trace


class TraceText(BaseModel):
    """Trace of a line of an archive."""

    model_config = ConfigDict(extra="forbid", strict=True)

    steps: list[list[int]]
    """Stretches `[first, distance, count]`."""
    values: str


def pack_trace(trace: Trace) -> dict[str, Any]:
    """Return the content of a `TraceText`."""
    with np.errstate(over="ignore"):  # a float64 beyond float32 is not exact
        single = trace.values.astype("<f4")
    exact = np.array_equal(single.astype(np.float64), trace.values, equal_nan=True)
    kept = single if exact else trace.values.astype("<f8")
    planes = kept.view(np.uint8).reshape(len(kept), kept.itemsize).T
    values = f"f{kept.itemsize}:{base64.b64encode(planes.tobytes()).decode()}"
    return {"steps": _stretches(trace.steps), "values": values}


def unpack_trace(text: TraceText) -> Trace:
    """Return a trace. Raises ValueError for what `pack_trace` does not write."""
    kind, _, content = text.values.partition(":")
    if kind not in ("f4", "f8"):
        raise ValueError("values: expected f4:BASE64 or f8:BASE64")
    try:
        packed = np.frombuffer(base64.b64decode(content, validate=True), dtype=np.uint8)
    except binascii.Error as error:
        raise ValueError(f"values: {error}") from None
    size = int(kind[1])
    steps = _steps(text.steps, len(packed) // size)
    if len(packed) != len(steps) * size:
        raise ValueError(f"values: {len(packed)} bytes are not those of {len(steps)} numbers")
    values = np.ascontiguousarray(packed.reshape(size, -1).T).view(f"<{kind}").ravel().astype(np.float64)
    return Trace(steps, values)


def _stretches(steps: NDArray[np.int64]) -> list[list[int]]:
    """Return steps as [first, distance, count], each as long as the distance stays."""
    found: list[list[int]] = []
    for step in steps.tolist():
        if found and found[-1][2] == 1:
            found[-1][1:] = [step - found[-1][0], 2]
        elif found and step == found[-1][0] + found[-1][1] * found[-1][2]:
            found[-1][2] += 1
        else:
            found.append([step, 0, 1])
    return found


def _steps(stretches: list[list[int]], count: int) -> NDArray[np.int64]:
    """Return [T] steps, ascending. Raises ValueError, also for more than `count`."""
    if any(len(each) != 3 or min(each) < 0 or each[2] < 1 for each in stretches):
        raise ValueError("steps: expected stretches [first, distance, count]")
    if (told := sum(each[2] for each in stretches)) != count:
        raise ValueError(f"steps: {told} steps and {count} values")
    parts = [first + distance * np.arange(number, dtype=np.int64) for first, distance, number in stretches]
    steps = np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)
    if (np.diff(steps) < 0).any():
        raise ValueError("steps: not ascending")
    return steps
