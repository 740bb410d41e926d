"""A stand-in of the W&B server on a loopback port, for tests with the real client and no network.

`records.py` holds runs and sweeps, `store.py` is what the server knows, `graph.py` walks a GraphQL query over it,
`server.py` speaks HTTP and fails on demand. `with Standin() as server:` gives `server.env(tmp_path)`, the environment
in which a client finds it and touches nothing of the user's.
"""

from standin.records import ENTITY, Run, Sweep
from standin.server import Standin
from standin.store import Store

__all__ = ["ENTITY", "Run", "Standin", "Store", "Sweep"]
