"""Redis' address as people give it. Who is let in by it is shown to nobody, and pickled nowhere."""

import os
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit

from promptwire.errors import ConfigurationError

SCHEMES = ("redis", "rediss", "unix")

_QUERY = ("db", "ssl_ca_certs", "ssl_cert_reqs", "ssl_certfile", "ssl_check_hostname", "ssl_keyfile")


def is_redis(given: Any) -> bool:
    """Whether a store's name is Redis' URL."""
    return isinstance(given, str) and given.partition("://")[0] in SCHEMES and "://" in given


def public_url(url: str) -> str:
    """The URL without user, password, or whatever else it should not hold."""
    parts, query = _split(url)
    told = {name: value for name, value in query.items() if name in _QUERY}
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query=urlencode(told), fragment="").geturl()


def whole_url(url: str) -> str:
    """The URL; one without credentials (from a pickle) has those of ``PROMPTWIRE_STORE``, if it is else the same."""
    given = os.environ.get("PROMPTWIRE_STORE", "")
    return given if is_redis(given) and public_url(given) == url else url


def client_options(url: str) -> dict[str, Any]:
    """What redis-py's client is made with. Raises ``ConfigurationError``, which doesn't show the URL."""
    parts, query = _split(url)
    if unknown := sorted(query.keys() - set(_QUERY)):
        raise ConfigurationError(f"the store's URL can't set {', '.join(unknown)}; it may set {', '.join(_QUERY)}")
    options: dict[str, Any] = {name: value for name, value in query.items() if name.startswith("ssl_")}
    if "ssl_check_hostname" in options:
        options["ssl_check_hostname"] = options["ssl_check_hostname"].lower() not in {"0", "false", "no", ""}
    if parts.scheme == "unix":
        options["unix_socket_path"] = unquote(parts.path)
    else:
        options |= {"host": parts.hostname or "localhost", "port": parts.port or 6379, "ssl": parts.scheme == "rediss"}
    number = query.get("db") or (parts.path.strip("/") if parts.scheme != "unix" else "") or "0"
    if not (number.isascii() and number.isdigit()):
        raise ConfigurationError("the database in the store's URL is a number, as in redis://localhost:6379/0")
    given = {"username": unquote(parts.username or ""), "password": unquote(parts.password or "")}
    return {**options, "db": int(number), **{name: value for name, value in given.items() if value}}


def _split(url: str) -> tuple[SplitResult, dict[str, str]]:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - reading it checks it
    except ValueError:
        raise ConfigurationError("the store's URL can't be read; it looks like redis://localhost:6379/0") from None
    return parts, dict(parse_qsl(parts.query))
