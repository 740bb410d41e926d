"""A trace as text: it comes back to the bit, and other texts are refused."""

import gzip
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.runs.outcomes import Trace
from trainer.runs.trace_text import TraceText, pack_trace, unpack_trace


def there_and_back(trace: Trace) -> Trace:
    return unpack_trace(TraceText.model_validate(json.loads(json.dumps(pack_trace(trace)))))


@given(
    st.lists(st.tuples(st.integers(0, 10_000), st.floats(width=32) | st.floats()), max_size=40),
    st.booleans(),
)
def test_steps_and_values_come_back_to_the_bit(pairs: list[tuple[int, float]], even: bool) -> None:
    steps = [7 + 3 * place for place in range(len(pairs))] if even else sorted(step for step, _ in pairs)
    trace = Trace(np.array(steps, dtype=np.int64), np.array([value for _, value in pairs], dtype=np.float64))
    again = there_and_back(trace)
    assert again.steps.tolist() == steps
    assert np.array_equal(again.values, trace.values, equal_nan=True)
    assert np.array_equal(np.signbit(again.values), np.signbit(trace.values))


def test_a_step_of_float32_takes_less_than_four_bytes() -> None:
    draw = np.random.default_rng(0)
    losses = (2 * np.exp(-np.arange(8000) / 3000) + 0.1 * draw.random(8000)).astype(np.float32)
    packed = pack_trace(Trace(np.arange(1, 8001), losses.astype(np.float64)))
    assert packed["steps"] == [[1, 1, 8000]]
    assert len(gzip.compress(json.dumps(packed).encode())) < 4 * 8000


@pytest.mark.parametrize(
    ("steps", "values", "said"),
    [
        ([[1, 1, 2]], "f2:AAAA", "values: expected f4:BASE64 or f8:BASE64"),
        ([[1, 1, 2]], "f4:A", "values: Invalid base64|values: Incorrect padding"),
        ([[1, 1, 1]], "f4:AAAAAAA=", "values: 5 bytes are not those of 1 numbers"),
        ([[1, 1, 10**12]], "f4:AAAAAA==", "steps: 1000000000000 steps and 1 values"),
        ([[1, 1]], "f4:AAAAAA==", r"steps: expected stretches \[first, distance, count\]"),
        ([[1, -1, 1]], "f4:AAAAAA==", r"steps: expected stretches \[first, distance, count\]"),
        ([[2, 0, 1], [1, 0, 1]], "f4:AAAAAAAAAAA=", "steps: not ascending"),
    ],
)
def test_other_texts_are_refused(steps: Any, values: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        unpack_trace(TraceText(steps=steps, values=values))
