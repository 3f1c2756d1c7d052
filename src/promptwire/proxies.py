"""The environment's proxies, for HTTP clients whose transports are our own: httpx reads them only for its own."""

import urllib.request
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit


def mounts(transport: Callable[[str], Any]) -> dict[str, Any]:
    """A transport for each proxy, by httpx's URL patterns; ``None`` is a direct connection."""
    found = urllib.request.getproxies()
    chosen: dict[str, Any] = {
        f"{scheme}://": transport(url if "://" in url else f"http://{url}")
        for scheme, url in found.items()
        if scheme in {"http", "https", "all"}
    }
    if chosen:
        for host in ("localhost", "127.0.0.1", "[::1]", *found.get("no", "").split(",")):
            chosen.update(_direct(host.strip()))
    return chosen


def _direct(host: str) -> dict[str, None]:
    if not host:
        return {}
    if host == "*":
        return {"all://": None}
    name = urlsplit(host if "://" in host else f"//{host}").hostname or host
    return {f"all://{name}": None, f"all://*.{name.removeprefix('.')}": None} if name[0] not in "[:" else {}
