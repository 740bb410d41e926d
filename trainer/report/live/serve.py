"""The server's process: its address, the names that it answers under, its priority, its end."""

import contextlib
import errno
import os
import socket
from collections.abc import Callable, Sequence

import uvicorn

from trainer.errors import UserError
from trainer.report.live.app import application
from trainer.report.live.keeper import Keeper

_EVERYWHERE = ("0.0.0.0", "::")
_MOST_CONNECTIONS = 256


def serve(keeper: Keeper, host: str, port: int, say: Callable[[str], None]) -> None:
    """Serve a page until Ctrl-C. `say` gets its address and what one should know.

    Raises UserError if the address cannot be had.
    """
    listening = listen(host, port)
    with contextlib.closing(listening):
        lower_priority()
        names = names_of(host)
        say(f"http://{_in_address(names[0])}:{listening.getsockname()[1]}/")
        say("Ctrl-C ends this page and no run. It runs at the lowest priority, and limits its processor time.")
        if not _is_local(host):
            say(f"warning: --host {host}: everyone who reaches this machine can read the page, under these names:"
                f" {', '.join(names)}")  # fmt: skip
        keeper.start()
        try:
            server_of(keeper, names).run(sockets=[listening])
        except KeyboardInterrupt:
            pass
        finally:
            keeper.end()


def server_of(keeper: Keeper, names: Sequence[str]) -> uvicorn.Server:
    """Return the server, which has no log and no other protocol."""
    return uvicorn.Server(
        uvicorn.Config(
            application(keeper, [_in_address(name) for name in names]),
            log_level="error",
            access_log=False,
            server_header=False,
            lifespan="off",
            ws="none",
            limit_concurrency=_MOST_CONNECTIONS,  # beyond them 503, so that no flood fills the memory
            timeout_graceful_shutdown=1,
        )
    )


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens. Raises UserError with one line if the address is in use, or none of this machine.

    Port 0 is any free one.
    """
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address[:2], family=family, backlog=1024)
    except socket.gaierror as error:
        raise UserError(f"--host {host}: {error.strerror}; expected an address of this machine") from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise UserError(f"--port {port}: in use on {host}; give another one, or 0 for any free one") from error
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise UserError(f"--host {host} --port {port}: cannot be served: {reason}") from error


def names_of(host: str) -> list[str]:
    """Return the names under which a browser may ask for the page, that for its address first."""
    local = ["127.0.0.1", "localhost", "::1"]
    if _is_local(host):
        return list(dict.fromkeys([host, *local]))
    if host not in _EVERYWHERE:
        return [host, *local]
    name = socket.gethostname()
    found = {name, socket.getfqdn()}
    with contextlib.suppress(OSError):
        found |= {str(address[0]) for *_, address in socket.getaddrinfo(name, None)}
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as outward:
        outward.connect(("192.0.2.1", 9))  # an address of nobody's (RFC 5737); nothing is sent
        found.add(outward.getsockname()[0])
    return [name, *sorted(found - {name, *local}), *local]


def _is_local(host: str) -> bool:
    return host == "localhost" or host == "::1" or host.startswith("127.")


def _in_address(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def lower_priority() -> None:
    """Give way to the training on this machine, in every thread that begins after this."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, 19)
