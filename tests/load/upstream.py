"""Run with a plan: a prompt server whose versions change, and which from the first line it is told fails often.

At the end it tells of each request: when it came, and which fault it met, if any.
"""

import json
import random
import sys
import threading
import time
from collections import defaultdict

from promptwire.testing import Answer, LoopbackServer, Received
from tests.load.plan import Plan, prompt_row

FAULTS = {
    "500": Answer.of_json(500, {"message": "broken"}),
    "503": Answer.of_json(503, {"message": "not now"}),
    "429": Answer.of_json(429, {"message": "slow down"}, Retry_After="0.2"),
    "403": Answer.of_json(403, {"message": "who are you"}),
    "HTML": Answer(200, b"<html>Sign in</html>", {"Content-Type": "text/html"}),
    "cut off": Answer(200, b'{"prompt": "Hel', {"Content-Type": "application/json"}),
    "drop": None,
}


class Upstream(LoopbackServer):
    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self._plan = plan
        self._random = random.Random(8)  # noqa: S311 - the same load each time
        self._lock = threading.Lock()
        self.is_failing = False
        self.log: dict[str, list[tuple[float, str]]] = defaultdict(list)

    def answer(self, request: Received) -> Answer:
        name = request.path.rpartition("/")[2]
        with self._lock:
            fails = self.is_failing and self._random.random() < self._plan.failing
            fault = self._random.choice(list(FAULTS)) if fails else ""
            self.log[name].append((time.monotonic(), fault))
        if not fault:
            return self._right(name, request.headers.get("if-none-match"))
        answer = FAULTS[fault]
        if answer is None:
            raise ConnectionAbortedError
        return answer

    def _right(self, name: str, known: str | None) -> Answer:
        version = self._plan.version(int(name[1:]))
        etag = {"ETag": f'"{version}"'}
        return (
            Answer(304, b"", etag) if known == etag["ETag"] else Answer.of_json(200, prompt_row(name, version), **etag)
        )


def main() -> None:
    with Upstream(Plan(**json.loads(sys.argv[1]))) as server:
        print(json.dumps(server.url), flush=True)  # noqa: T201 - told line by line
        sys.stdin.readline()
        server.is_failing = True
        sys.stdin.read()
        print(json.dumps(server.log), flush=True)  # noqa: T201 - told line by line


if __name__ == "__main__":
    main()
