"""What is about a person is left out of texts that others may read."""

import pytest

from trainer.runs.private import public, public_provenance


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("postgresql://me:secret@there/x", "postgresql://there/x"),
        ("postgresql://me:sec@ret@there/x", "postgresql://there/x"),
        ("redis://:secret@there/0", "redis://there/0"),
        ("postgresql://there/x?user=me&password=secret", "postgresql://there/x?user=me&"),
        ("http://127.0.0.1:8321/x?a=b and me@there", "http://127.0.0.1:8321/x?a=b and me@there"),
        ("https://me@there:80/x", "https://me@there:80/x"),
    ],
)
def test_an_address_has_no_password(address: str, shown: str) -> None:
    assert public(address) == shown
    command = public_provenance({"command": f"trainer sweep run x --storage '{address}'"})["command"]
    assert "secret" not in command and "ret@" not in command
