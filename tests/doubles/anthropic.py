"""Anthropic's Messages API for tests, judged by the official SDK's own types and the API's rules."""

import hmac
import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence

from promptwire.testing import Answer, LoopbackServer, Received
from promptwire.testing.faults import Exchange
from promptwire.testing.wire import Json, encode
from tests.doubles.anthropic_model import Said, echo, usage
from tests.doubles.anthropic_rules import VERSIONS, check_request, refused
from tests.doubles.anthropic_stream import event, stream

Scripted = str | Sequence[Mapping[str, Json]] | Said
Reply = Callable[[dict[str, Json]], Scripted]

_KINDS = {
    401: "authentication_error", 403: "permission_error", 404: "not_found_error", 413: "request_too_large",
    429: "rate_limit_error", 529: "overloaded_error",
}  # fmt: skip


class FakeAnthropic(LoopbackServer):
    """A model provider on loopback; by default an echo that says ``[model] last user text``.

    ``reply`` replaces the echo: a callable of the request's JSON, or answers used in turn, the last one ever after.
    An answer is a text, a list of content blocks, or a ``Said``.
    """

    def __init__(self, api_key: str = "sk-ant-test", reply: Reply | Sequence[Scripted] | None = None) -> None:
        super().__init__()
        self.api_key = api_key
        self._reply = reply if reply is None or callable(reply) else _in_turn(reply)
        self._numbers = itertools.count(1)
        self._cached: set[str] = set()
        self.signatures: set[str] = set()
        """Of thoughts that the API itself signed, which a test brings along: only the fake's own can be judged."""

    @property
    def env(self) -> dict[str, str]:
        return {"ANTHROPIC_API_KEY": self.api_key, "ANTHROPIC_BASE_URL": self.url}

    def error_body(self, status: int) -> object:
        kind = _KINDS.get(status, "invalid_request_error" if status < 500 else "api_error")
        return {"type": "error", "error": {"type": kind, "message": f"Fake failure {status}"}, "request_id": "req_f"}

    def overload(self, *, times: int | None = None) -> None:
        """Answer 529, a status of this API's own, which has no name in the standard library."""
        body = encode(self.error_body(529))
        head = f"HTTP/1.1 529 Overloaded\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self._add(lambda exchange: exchange.connection.sendall(head.encode() + body), times, "")

    def fail_stream(self, kind: str = "overloaded_error", *, after: int = 3, times: int | None = None) -> None:
        """End streams with an error event after ``after`` events."""
        last = event("error", {"error": {"type": kind, "message": "Fake failure"}})

        def play(exchange: Exchange) -> None:
            answer = exchange.answer()
            pieces = itertools.chain(itertools.islice(answer.pieces or iter(()), after), [last])
            exchange.send(Answer(answer.status, answer.body, answer.headers, pieces))

        self._add(play, times, "")

    def answer(self, request: Received) -> Answer:
        if (request.method, request.path) != ("POST", "/v1/messages"):
            raise refused(f"{request.method} {request.path}", 404, "not_found_error")
        self._authorize(request)
        version = request.headers.get("anthropic-version")
        if version not in VERSIONS:
            raise refused(f"anthropic-version: {version!r} is not a valid version")
        if not request.headers.get("content-type", "").startswith("application/json"):
            raise refused("content-type: must be application/json")
        return self._speak(check_request(_body(request), version, self.signatures))

    def _authorize(self, request: Received) -> None:
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        key = request.headers.get("x-api-key") or bearer
        if not hmac.compare_digest(key.encode(), self.api_key.encode()):
            message = "invalid x-api-key" if key else "x-api-key header is required"
            raise refused(message, 401, "authentication_error")

    def _speak(self, request: dict[str, Json]) -> Answer:
        said = echo(request) if self._reply is None else _said(self._reply(request))
        number = next(self._numbers)
        message = {
            "id": f"msg_{number:04}",
            "type": "message",
            "role": "assistant",
            "model": request["model"],
            "content": list(said.content),
            "stop_reason": said.stop_reason,
            "stop_sequence": said.stop_sequence,
            "usage": usage(request, said, self._cached),
        }
        headers = {"request-id": f"req_{number:04}"}
        if request.get("stream"):
            headers["Content-Type"] = "text/event-stream; charset=utf-8"
            return Answer(200, b"", headers, stream(message))
        return Answer.of_json(200, message, **headers)


def _in_turn(answers: Sequence[Scripted]) -> Reply:
    turns: Iterator[Scripted] = itertools.chain(answers, itertools.repeat(answers[-1]))
    return lambda _: next(turns)


def _said(answer: Scripted) -> Said:
    if isinstance(answer, Said):
        return answer
    blocks = [{"type": "text", "text": answer}] if isinstance(answer, str) else answer
    return Said(blocks, "tool_use" if any(block["type"] == "tool_use" for block in blocks) else "end_turn")


def _body(request: Received) -> Json:
    try:
        return json.loads(request.body)
    except ValueError as problem:
        raise refused("The request body is not valid JSON.") from problem
