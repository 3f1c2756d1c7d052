"""An OpenAI API for tests: Chat Completions, judged as strictly as the vendor does."""

import hmac
import itertools
import json
import time
from collections.abc import Iterator, Mapping, Sequence

from promptwire.testing.checks import bad_request, error
from promptwire.testing.faults import Exchange
from promptwire.testing.openai_echo import echo
from promptwire.testing.openai_reply import Reply, Scripted, Spoken, logprobs, spoken, tokens, usage
from promptwire.testing.openai_rules import check_request
from promptwire.testing.openai_stream import event, stream
from promptwire.testing.server import LoopbackServer
from promptwire.testing.wire import Answer, Json, Received

_MODELS = ("gpt-4o", "gpt-4o-mini")
_KINDS = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


class FakeOpenAI(LoopbackServer):
    """A model provider on loopback; by default an echo that says ``[model] last user text``.

    ``reply`` replaces the echo: a callable of the request's JSON, or answers used in turn, the last one ever after.
    An answer is a text, an assistant message, or a list of tool calls (``{"name": …, "arguments": …}`` will do).
    """

    def __init__(self, api_key: str = "sk-test-key", reply: Reply | str | Sequence[Scripted] | None = None) -> None:
        super().__init__()
        self.api_key = api_key
        self._reply = _script([reply] if isinstance(reply, str) else reply)
        self._numbers = itertools.count(1)

    @property
    def url(self) -> str:
        """The base URL of a client, which ends in ``/v1``."""
        return f"{super().url}/v1"

    @property
    def env(self) -> dict[str, str]:
        return {"OPENAI_API_KEY": self.api_key, "OPENAI_BASE_URL": self.url}

    def error_body(self, status: int) -> object:
        kind = _KINDS.get(status, "invalid_request_error" if status < 500 else "server_error")
        return {"error": {"message": f"Fake failure {status}", "type": kind, "param": None, "code": None}}

    def fail_stream(
        self, message: str = "The server had an error", *, after: int = 1, times: int | None = None, match: str = ""
    ) -> None:
        """End streams with an error event after ``after`` events, and without ``[DONE]``."""
        last = event({"error": {"message": message, "type": "server_error", "param": None, "code": None}})

        def play(exchange: Exchange) -> None:
            answer = exchange.answer()
            pieces = itertools.chain(itertools.islice(answer.pieces or iter(()), after), [last])
            exchange.send(Answer(answer.status, answer.body, answer.headers, None if answer.pieces is None else pieces))

        self._add(play, times, match)

    def answer(self, request: Received) -> Answer:
        path = request.path.removeprefix("/v1")
        self._authorize(request)
        if (request.method, path) == ("POST", "/chat/completions"):
            return self._complete(check_request(_body(request)))
        if (request.method, path) == ("GET", "/models"):
            return Answer.of_json(200, {"object": "list", "data": [_model(name) for name in _MODELS]})
        raise error(404, f"Invalid URL ({request.method} {request.path})")

    def _authorize(self, request: Received) -> None:
        header = request.headers.get("authorization", "")
        if not header:
            raise error(401, "You didn't provide an API key.")
        if not hmac.compare_digest(header.encode(), f"Bearer {self.api_key}".encode()):
            raise error(401, "Incorrect API key provided.", code="invalid_api_key")

    def _complete(self, request: dict[str, Json]) -> Answer:
        said = echo(request) if self._reply is None else spoken(self._reply(request), request)
        choices = [said] * (request.get("n") or 1)
        number = next(self._numbers)
        base = {"id": f"chatcmpl-{number}", "created": int(time.time()), "model": request["model"]}
        base |= {"service_tier": "default", "system_fingerprint": "fp_fake"}
        headers = {"x-request-id": f"req_{number}"}
        if request.get("stream"):
            headers |= {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache"}
            return Answer(200, b"", headers, stream(request, choices, base))
        parts = [_choice(request, one, index) for index, one in enumerate(choices)]
        body = {**base, "object": "chat.completion", "choices": parts, "usage": usage(request, choices)}
        return Answer.of_json(200, body, **headers)


def _script(reply: Reply | Sequence[Scripted] | None) -> Reply | None:
    if reply is None or callable(reply):
        return reply
    turns: Iterator[Scripted] = itertools.chain(reply, itertools.repeat(reply[-1]))
    return lambda _: next(turns)


def _choice(request: Mapping[str, Json], said: Spoken, index: int) -> dict[str, Json]:
    probabilities = logprobs(request, tokens(said.content or ""))
    return {"index": index, "message": said.message(), "logprobs": probabilities, "finish_reason": said.finish_reason}


def _body(request: Received) -> Json:
    try:
        return json.loads(request.body)
    except ValueError as problem:
        raise bad_request("We could not parse the JSON body of your request.", None) from problem


def _model(name: str) -> dict[str, object]:
    return {"id": name, "object": "model", "created": 1700000000, "owned_by": "promptwire"}
