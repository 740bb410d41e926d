"""What can be in the way of a question to W&B."""

import pytest
import wandb
from standin import Standin


@pytest.fixture(params=["no login", "no server", "refused"])
def trouble(server: Standin, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """Make every question to the server fail; return how."""
    match request.param:
        case "no login":
            monkeypatch.delenv("WANDB_API_KEY")
        case "no server":
            monkeypatch.setattr(wandb.Api, "_HTTP_TIMEOUT", 2)
            server.stop()
        case _:
            server.fail("graphql", 403)
    return request.param
