"""What can go wrong between us and a prompt server, and what it is called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from promptwire import BackendAuthError, BackendError, BackendUnavailableError, PromptNotFoundError, PromptwireError

if TYPE_CHECKING:
    from collections.abc import Callable

    from promptwire.backends import Backend
    from tests.doubles.tls import Certificate
    from tests.faults.hosts import Host

LARGE = 50_000_000


@dataclass(frozen=True)
class Fault:
    """``strike`` has the host fail; ``status`` is the error's, and a ``slow`` one takes all the time there is.

    ``believed`` is for how many seconds docs/freshness.md says that it is taken to hold.
    """

    strike: Callable[[Host], object]
    error: type[PromptwireError]
    status: int | None = None
    retryable: bool = False
    slow: bool = False
    believed: float = 5
    way: str = "direct"

    def reach(self, host: Host, trusted: Callable[[], Certificate]) -> Backend:
        """The backend, on a way to the host that the fault can strike."""
        if self.way == "by_tls":
            return host.by_tls(trusted())
        return host.by_name() if self.way == "by_name" else host.backend()


def unavailable(strike: Callable[[Host], object], status: int | None = None, **more: Any) -> Fault:
    return Fault(strike, BackendUnavailableError, status, retryable=True, **{"believed": 10, **more})


def refusing(status: int, error: type[PromptwireError]) -> Fault:
    return Fault(lambda host: host.server.fail(status), error, status)


def elsewhere(host: Host, status: int = 307) -> None:
    """To another name and port, where the same path leads to a prompt of the same id."""
    host.server.redirect(host.other.url.replace("127.0.0.1", "localhost") + host.vendor.path, status)


FAULTS = {
    "refused": unavailable(lambda host: host.server.stop()),
    "DNS failure": unavailable(lambda host: host.forget_name(), way="by_name"),
    "TLS failure": unavailable(lambda host: host.forge(), way="by_tls"),
    "hang": unavailable(lambda host: host.server.hang(), slow=True),
    "drip": unavailable(lambda host: host.server.drip(0.05), slow=True),
    "reset": unavailable(lambda host: host.server.drop(reset=True)),
    "401": refusing(401, BackendAuthError),
    "403": refusing(403, BackendAuthError),
    "404": refusing(404, PromptNotFoundError),
    "409": refusing(409, BackendError),
    "429 with Retry-After": unavailable(lambda host: host.server.fail(429, retry_after=60), 429, believed=60),
    "429 without": unavailable(lambda host: host.server.fail(429), 429),
    "500": unavailable(lambda host: host.server.fail(500), 500),
    "503": unavailable(lambda host: host.server.fail(503), 503),
    "HTML": Fault(lambda host: host.server.garbage(), BackendError, 200),
    "truncated JSON": Fault(lambda host: host.server.garbage(host.body("Cut off")[:-2]), BackendError, 200),
    "wrong shape": Fault(lambda host: host.server.garbage(f"[{host.body('Wrapped')}]"), BackendError),
    "50 MB": Fault(lambda host: host.server.garbage(host.body("x" * LARGE)), BackendError),
    "redirect": Fault(elsewhere, BackendError, 307),
}
