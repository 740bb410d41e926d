"""Server of a page: the page, its scripts, its numbers and its pictures, and nothing else.

No part of a request becomes a path. A picture is looked up among those that the page shows.
"""

import os
import stat
from collections.abc import Callable, Sequence
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from trainer.report.live.keeper import Body, Keeper, Version
from trainer.report.live.pace import REQUESTS, Pace
from trainer.report.pages.html import SCRIPTS, script
from trainer.report.pages.pictures import FOLDER
from trainer.threads import cores

HEADERS = {
    # Vega sets styles by attributes and by elements. Scripts are files of this server, and none is made from a text.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; img-src 'self' data:;"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
"""Headers of every answer."""

_PNG = b"\x89PNG\r\n\x1a\n"
_MOST_BYTES = 32 * 2**20  # of a picture


def application(keeper: Keeper, hosts: Sequence[str]) -> ASGIApp:
    """Return the server. It answers under the names in `hosts` only, so that no foreign page can reach it by DNS."""
    scripts = {name: Body(script(name).encode(), "text/javascript") for name in SCRIPTS}

    def asked() -> Version:
        keeper.ask()
        return keeper.version

    async def page(request: Request) -> Response:
        return _answer(request, asked().page)

    async def picture(request: Request) -> Response:
        path = keeper.version.pictures.get(f"{request.path_params['run']}/{request.path_params['name']}")
        content = read_picture(path, keeper.version.table.folder) if path else None
        if content is None:
            return PlainTextResponse("Not Found", status_code=404)
        return _answer(request, Body(content, "image/png"))

    def beside(body: Callable[[], Body]) -> Callable[[Request], Response]:
        return lambda request: _answer(request, body())

    routes = [
        Route("/", page),
        *(Route(f"/{name}", beside(lambda name=name: scripts[name])) for name in SCRIPTS),
        Route("/results.json", beside(lambda: asked().results)),
        Route("/results.csv", beside(lambda: asked().lines)),
        Route("/pictures/{run}/{name}", picture),
    ]
    named = Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False)
    return _Guarded(Starlette(routes=routes, middleware=[named]), Pace(REQUESTS * cores()))


class _Guarded:
    """Adds the headers to every answer, refusals included, and answers no faster than its pace allows."""

    def __init__(self, app: ASGIApp, pace: Pace) -> None:
        self._app = app
        self._pace = pace
        self._headers = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._pace.wait()  # it stops the whole server on purpose: what waits in the kernel costs nothing

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *self._headers]}
            await send(message)

        await self._app(scope, receive, send_guarded)


def _answer(request: Request, body: Body) -> Response:
    """Return what was asked for, or 304 if the browser has it already."""
    known = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
    if body.tag in known:
        return Response(status_code=304, headers={"ETag": body.tag})
    return Response(body.content, media_type=body.kind, headers={"ETag": body.tag})


def read_picture(path: Path, runs: Path) -> bytes | None:
    """Return a picture of a run in the folder `runs`. None if it is a link, lies elsewhere, or is no PNG file."""
    inside = runs.resolve() / path.parent.parent.name / FOLDER / path.name
    try:
        if path.resolve(strict=True) != inside:  # a link, or a folder on the way is one
            return None
        with os.fdopen(os.open(inside, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode) or status.st_size > _MOST_BYTES:
                return None
            content = file.read()
    except OSError:
        return None
    return content if content.startswith(_PNG) else None
