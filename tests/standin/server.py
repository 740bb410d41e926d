"""The HTTP side: one port for GraphQL, streams and uploads, with faults to order."""

import gzip
import json
import socket
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import unquote, urlsplit

from standin.graph import answer
from standin.store import ENTITY, Refused, Run, Store

API_KEY = "0123456789" * 4

Fault = Literal["drop", "hang"] | int
"""drop: close the connection without an answer; hang: answer nothing until healed; a number: that HTTP status."""


@dataclass
class _Order:
    part: str
    fault: Fault
    times: int | None


class Standin:
    """The server as a test holds it. `runs` by id; `requests` every "METHOD /path" that came, faults too."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port: int = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.store = Store(self.url)
        self.requests: list[str] = []
        self._orders: list[_Order] = []
        self._healed = threading.Event()
        self._http: ThreadingHTTPServer | None = None
        self.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def runs(self) -> dict[str, Run]:
        return self.store.runs

    @property
    def only_run(self) -> Run:
        (run,) = self.runs.values()
        return run

    def env(self, home: Path) -> dict[str, str]:
        """An environment in which the client talks to this server and reads and writes under `home` alone."""
        return {
            "HOME": str(home),
            "NETRC": str(home / "netrc"),
            "WANDB_API_KEY": API_KEY,
            "WANDB_BASE_URL": self.url,
            "WANDB_CACHE_DIR": str(home / "cache"),
            "WANDB_CONFIG_DIR": str(home / "config"),
            "WANDB_DATA_DIR": str(home / "data"),
            "WANDB_ENTITY": ENTITY,
        }

    def start(self) -> None:
        """Listen, on the same port every time."""
        self._healed.clear()
        self._http = ThreadingHTTPServer(("127.0.0.1", self.port), type("Handler", (_Handler,), {"standin": self}))
        self._http.daemon_threads = True
        threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Refuse connections from now on."""
        self._healed.set()
        if self._http is not None:
            self._http.shutdown()
            self._http.server_close()
            self._http = None

    def fail(self, part: str, fault: Fault, *, times: int | None = None) -> None:
        """Fail the next `times` requests with `part` in their path ("" is every one; None: until healed)."""
        self._healed.clear()
        self._orders.append(_Order(part, fault, times))

    def heal(self) -> None:
        """Forget all faults; what hangs is answered."""
        self._orders.clear()
        self._healed.set()

    def seen(self, part: str) -> int:
        """How many requests came with `part` in their path."""
        return sum(part in request for request in self.requests)

    def fault_for(self, path: str) -> Fault | None:
        """The fault ordered for a request, counted down."""
        for order in self._orders:
            if order.part in path and order.times != 0:
                order.times = order.times and order.times - 1
                return order.fault
        return None

    def wait_until_healed(self) -> None:
        self._healed.wait()


class _Handler(BaseHTTPRequestHandler):
    """HTTP/1.0, a connection a request: a server that has stopped is then gone for a client that knew it, too."""

    standin: Standin

    def do_POST(self) -> None:
        self._serve(self._post)

    def do_PUT(self) -> None:
        self._serve(self._put)

    def do_GET(self) -> None:
        self._serve(self._get)

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _serve(self, route: Any) -> None:
        path = unquote(urlsplit(self.path).path)
        body = self._body()
        with self.standin.store.lock:
            self.standin.requests.append(f"{self.command} {path}")
            fault = self.standin.fault_for(path)
        match fault:
            case "drop":
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            case "hang":
                self.standin.wait_until_healed()
            case int():
                self._reply(fault, {"errors": [{"message": f"the stand-in was told to answer {fault}"}]})
                return
            case None:
                pass
        with self.standin.store.lock:
            reply = route(path, body)
        self._reply(200, reply)

    def _post(self, path: str, body: bytes) -> dict[str, Any]:
        store = self.standin.store
        if path == "/graphql":
            asked = json.loads(body)
            try:
                return {"data": answer(asked["query"], asked.get("variables") or {}, store.roots)}
            except Refused as refused:
                return {"data": None, "errors": [{"message": str(refused)}]}
        if path.endswith("/file_stream"):
            return store.file_stream(path.split("/")[-2], json.loads(body))
        return {}  # telemetry

    def _get(self, path: str, body: bytes) -> dict[str, Any] | bytes:
        _, what, *rest = path.split("/", 3)
        return self.standin.store.files_of(rest[0])[rest[1]] if what == "download" else {}

    def _put(self, path: str, body: bytes) -> dict[str, Any]:
        _, _, owner, name = path.split("/", 3)
        self.standin.store.files_of(owner)[name] = body
        return {}

    def _body(self) -> bytes:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body

    def _reply(self, status: int, payload: dict[str, Any] | bytes) -> None:
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
