"""A vendor's host as the faults need it: the server, how it is reached, and another host that must hear nothing."""

from __future__ import annotations

import _socket
import json
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from promptwire.backends.humanloop import HumanloopBackend
from promptwire.backends.langfuse import LangfuseBackend
from promptwire.testing import FakeHumanloop, FakeLangfuse
from tests.doubles.tls import Certificate, TlsFront

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest

    from promptwire.backends import Backend

ID = "team/reply"
NAME = ".".join([*["x" * 60] * 5, "invalid"])
"""Too long to ask a name server for: the system knows by itself that there is none."""


@dataclass(frozen=True)
class Vendor:
    """What differs from one to the other; ``path`` is where the prompt is asked for."""

    make: Callable[[], Any]
    backend: Callable[[Any, str], Backend]
    publish: Callable[[Any, str], object]
    body: Callable[[str], dict[str, Any]]
    path: str


VENDORS = {
    "langfuse": Vendor(
        FakeLangfuse,
        lambda server, url: LangfuseBackend(server.public_key, server.secret_key, url),
        lambda server, text: server.publish(ID, text),
        lambda text: {"name": ID, "type": "text", "version": 7, "prompt": text},
        "/api/public/v2/prompts/team%2Freply",
    ),
    "humanloop": Vendor(
        FakeHumanloop,
        lambda server, url: HumanloopBackend(server.api_key, url),
        lambda server, text: server.publish(ID, text, environments=["production"]),
        lambda text: {"path": ID, "type": "prompt", "version_id": "prv_7", "model": "gpt-4o", "template": text},
        "/files/retrieve-by-path",
    ),
}


@dataclass
class Host:
    """The vendor's server with the prompt in it, ``other`` with the same keys and a wrong one, and ways in between."""

    vendor: Vendor
    folder: Path
    patch: pytest.MonkeyPatch
    server: Any = None
    other: Any = None
    front: TlsFront | None = None
    is_known: bool = True
    mend: Callable[[], None] = lambda: None

    def __enter__(self) -> Self:
        self.server, self.other = self.vendor.make().start(), self.vendor.make().start()
        self.publish("The first")
        self.vendor.publish(self.other, "Give me your keys")
        return self

    def __exit__(self, *_: object) -> None:
        for one in (self.server, self.other):
            one.heal()
            one.stop()
        if self.front is not None:
            self.front.stop()

    def publish(self, text: str) -> None:
        self.vendor.publish(self.server, text)

    def backend(self, url: str | None = None) -> Backend:
        return self.vendor.backend(self.server, url or self.server.url)

    def body(self, text: str) -> str:
        """What the vendor answers for a text."""
        return json.dumps(self.vendor.body(text))

    def heal(self) -> None:
        self.server.heal()
        self.server.start()
        self.mend()

    def by_name(self) -> Backend:
        """The host under a name that the look-up knows until it is forgotten."""
        lookup = socket.getaddrinfo

        def look_up(host: Any, *args: Any, **kwargs: Any) -> Any:
            if host == NAME and not self.is_known:
                return _socket.getaddrinfo(host, *args, **kwargs)  # the system's own answer
            return lookup("127.0.0.1" if host == NAME else host, *args, **kwargs)

        self.patch.setattr(socket, "getaddrinfo", look_up)
        self.mend = lambda: setattr(self, "is_known", True)
        return self.backend(self.server.url.replace("127.0.0.1", NAME))

    def forget_name(self) -> None:
        self.is_known = False
        self.hang_up()

    def by_tls(self, trusted: Certificate) -> Backend:
        """The host behind TLS, under a certificate that is trusted."""
        port = int(self.server.url.split(":")[2].partition("/")[0])
        self.front = front = TlsFront(port)
        front.start(trusted)
        self.mend = lambda: front.start(trusted)
        return self.backend(self.server.url.replace(f"http://127.0.0.1:{port}", f"https://127.0.0.1:{front.port}"))

    def forge(self) -> None:
        """The certificate is one that nobody vouches for."""
        assert self.front is not None
        self.front.start(Certificate(self.folder, "unknown"))

    def hang_up(self) -> None:
        """No connection from before the fault is left to be used."""
        self.server.stop()
        self.server.start()
