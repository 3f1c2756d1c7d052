"""Three calls in each kind of outage, with a fallback in hand, beside the official Langfuse SDK."""

import logging
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from langfuse import Langfuse

from benchmarks.harness import Report, Server, serving
from promptwire import Resolver
from promptwire.backends.langfuse import LangfuseBackend

KINDS = ("refused", "hang", "drip", "500", "503", "429", "garbage", "401", "drop", "reset")
PEER_KINDS = ("refused", "hang", "500")
FALLBACK = "You are a helpful clerk."
DEADLINE, QUICK_DEADLINE = 5.0, 1.0
OVERSHOOT = 1.01  # a wait that ends at its deadline is noticed a little later
NEXT_TWO = 1e-3

Times = tuple[float, float]


def _three_calls(call: Callable[[], object]) -> Times:
    """Seconds that the first took, and the next two together."""
    marks = [time.perf_counter()]
    for calls in (1, 2):
        for _ in range(calls):
            call()
        marks.append(time.perf_counter())
    return marks[1] - marks[0], marks[2] - marks[1]


def _ours(kind: str, url: str, deadline: float) -> Times:
    resolver = Resolver(LangfuseBackend(host=url), timeout=deadline)
    return _three_calls(lambda: resolver.get_prompt(kind, fallback=FALLBACK))


def _sdk(kind: str, url: str) -> Times:
    sdk = Langfuse(public_key=f"pk-lf-{kind}", base_url=url)  # one key, one host: the SDK keeps a client per key
    return _three_calls(lambda: sdk.get_prompt(f"{kind}-sdk", fallback=FALLBACK))


def _peers(report: Report, urls: dict[str, str]) -> dict[str, Times]:
    """The SDK's times; its outages last at once, since it spends them waiting."""
    kinds = KINDS if report.everything else () if report.quick else PEER_KINDS
    if not kinds:
        return {}
    with ThreadPoolExecutor(len(kinds)) as pool:
        return dict(zip(kinds, pool.map(lambda kind: _sdk(kind, urls[kind]), kinds), strict=True))


def measure(report: Report, server: Server, refusing: str) -> None:
    urls = dict.fromkeys(KINDS, server.url) | {"refused": refusing}
    deadline = QUICK_DEADLINE if report.quick else DEADLINE
    Resolver("langfuse").get_prompt("warm-up")
    ours = {kind: _ours(kind, urls[kind], deadline) for kind in KINDS}
    peers = _peers(report, urls)
    for kind, times in ours.items():
        peer = peers.get(kind, (None, None))
        report.bound(f"{kind}: first call", times[0], deadline * OVERSHOOT, "s", peer[0])
        report.bound(f"{kind}: the next two", times[1], NEXT_TWO, "s", peer[1])
    counted = [kind for kind in KINDS if kind != "refused"]
    asked = [
        f"{kind} {server.count(kind)}" + (f" (SDK {server.count(f'{kind}-sdk')})" if kind in peers else "")
        for kind in counted
    ]
    report.notes.append(f"requests made by the three calls: {', '.join(asked)}")


def main() -> None:
    report = Report.of_arguments("An outage, with a fallback in hand", ["promptwire", "langfuse"])
    logging.disable()  # both complain, and rightly
    with serving() as server, socket.socket() as refusing:
        refusing.bind(("127.0.0.1", 0))  # and never listens
        measure(report, server, f"http://127.0.0.1:{refusing.getsockname()[1]}")
    report.finish()


if __name__ == "__main__":
    main()
