"""The environment's proxies, for HTTP clients whose transports are our own: httpx reads them only for its own."""

import urllib.request
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from promptwire.errors import ConfigurationError


def mounts(transport: Callable[[str], Any]) -> dict[str, Any]:
    """A transport for each proxy, by httpx's URL patterns; ``None`` is a direct connection."""
    found = urllib.request.getproxies()
    spared = [host.strip() for host in found.get("no", "").split(",")]
    if "*" in spared:
        return {}
    named = {scheme: found.get(scheme) or found.get("all") for scheme in ("http", "https")}
    chosen: dict[str, Any] = {f"{scheme}://": transport(_usable(url)) for scheme, url in named.items() if url}
    if chosen:
        for host in ("localhost", "127.0.0.1", "::1", *spared):
            chosen.update(_direct(host))
    return chosen


def proxy_for(url: str) -> str | None:
    """The proxy that requests to ``url`` go through; ``None`` is a direct connection."""
    table = mounts(lambda proxy: proxy)
    parts = urlsplit(url)
    host = parts.hostname or ""
    labels = host.split(".")
    spared = [f"all://*.{'.'.join(labels[start:])}" for start in range(1, len(labels))]
    if any(pattern in table for pattern in (f"all://{host}", f"all://[{host}]", *spared)):
        return None
    found: str | None = table.get(f"{parts.scheme}://")
    return found


def _usable(url: str) -> str:
    """With its scheme; the message leaves it out, since it may hold a password."""
    full = url if "://" in url else f"http://{url}"
    if urlsplit(full).scheme not in {"http", "https"}:
        raise ConfigurationError("only HTTP proxies can be used; set HTTP_PROXY and HTTPS_PROXY, or unset ALL_PROXY")
    return full


def _direct(host: str) -> dict[str, None]:
    if not host:
        return {}
    if host.count(":") > 1 and "://" not in host:
        return {f"all://[{host.strip('[]')}]": None}
    name = (urlsplit(host if "://" in host else f"//{host}").hostname or host).removeprefix(".")
    return {f"all://{name}": None, f"all://*.{name}": None}
