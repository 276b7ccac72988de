"""The reading page: files that the product ships, sent under a policy that lets nothing else in or out."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse

_FOLDER = Path(__file__).parents[1] / "page"
_KINDS = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        # niivue carries the glyphs of its orientation letters as an image of its own.
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
_HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), usb=()",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
}


def page_files() -> dict[str, Path]:
    """Every file of the page by the path under which it is asked for; nothing else is ever sent."""
    shipped = sorted(path for path in _FOLDER.rglob("*") if path.suffix in _KINDS)
    named = {f"/page/{path.relative_to(_FOLDER).as_posix()}": path for path in shipped}
    return {"/": _FOLDER / "index.html", **named}


PATHS = frozenset(page_files())
"""Open without a token: they are the same for everybody, and the page asks for the token."""


def page_routes() -> APIRouter:
    """One route for each shipped file."""
    router = APIRouter(include_in_schema=False)
    for address, path in page_files().items():
        router.add_api_route(address, _sender(path), methods=["GET", "HEAD"])
    return router


def _sender(path: Path) -> Callable[[], Awaitable[FileResponse]]:
    async def send() -> FileResponse:
        return FileResponse(path, media_type=_KINDS[path.suffix], headers=_HEADERS)

    return send
