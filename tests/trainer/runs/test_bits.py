import numpy as np
import pytest

from trainer.runs.bits import pack_bits, unpack_bits


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 10_000])
def test_bits_come_back(count: int) -> None:
    bits = np.random.default_rng(count).random(count) < 0.9
    text = pack_bits(bits.tolist())
    assert np.array_equal(unpack_bits(text), bits)
    assert len(text) <= 1_674


@pytest.mark.parametrize("text", ["", "8", "x:AA==", "8:A", "8:!!!!", "9:AA==", "-1:"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected N:BASE64|bytes are not those of|base64|padded|character"):
        unpack_bits(text)
