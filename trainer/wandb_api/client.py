"""W&B's client: logged in, asked, and its refusals as one line. Loads wandb."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import wandb

from trainer.errors import SweepError, UserError, first_line


@contextmanager
def asking() -> Iterator[wandb.Api]:
    """Yield W&B's Api. Raises SweepError with one line for what the server refuses, or if it is away."""
    try:
        yield _log_in()
    except UserError:
        raise
    except Exception as error:  # of many kinds: wandb.Error, ValueError, and what its service raises
        raise SweepError(f"W&B: {first_line(error)}") from error


def graphql(api: wandb.Api, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answer to a query for which the client has no public call."""
    return api._service_api.execute_graphql(query, dict(variables))  # pyright: ignore[reportPrivateUsage]


def _log_in() -> wandb.Api:
    wandb.setup(wandb.Settings(silent=True))  # the trainer prints its messages itself
    if not wandb.login(prompt=False, verify=False):
        raise SweepError("W&B: no API key configured: `wandb login`, or set WANDB_API_KEY")
    return wandb.Api()
