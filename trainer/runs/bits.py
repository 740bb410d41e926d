"""One bit an image as text: which test images a run got right. 10,000 images take 1,668 characters."""

import base64
import binascii
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def pack_bits(bits: Sequence[bool]) -> str:
    """Return N bits as `N:BASE64`, eight a byte, the first bit the highest of its byte."""
    return f"{len(bits)}:{base64.b64encode(np.packbits(np.asarray(bits, dtype=bool)).tobytes()).decode()}"


def unpack_bits(text: str) -> NDArray[np.bool_]:
    """Return bits [N]. Raises ValueError for a text that `pack_bits` does not write."""
    count, _, content = text.partition(":")
    if not count.isdecimal():
        raise ValueError("expected N:BASE64")
    try:
        packed = np.frombuffer(base64.b64decode(content, validate=True), dtype=np.uint8)
    except binascii.Error as error:
        raise ValueError(str(error)) from None
    if len(packed) != -(-int(count) // 8):
        raise ValueError(f"{len(packed)} bytes are not those of {count} bits")
    return np.unpackbits(packed, count=int(count)).astype(bool)
