"""A Langfuse and a model on loopback, in a process of its own, made to cost less than any client of it.

A prompt's name says how its request fares: ``chat`` and most others are answered at once, ``slow-…`` after
100 ms, and those in ``FAULTS`` as badly as their names say. The model ``broken`` answers 500, ``silent`` never, and a
prompt that begins "You are t000000001" gets that token as its answer's id.
"""

import asyncio
import contextlib
import json
import re
import socket
import struct
import sys
from collections import Counter
from collections.abc import Callable
from typing import cast

STREAMED_CHUNKS = 100
SLOW_SECONDS = 0.1
DRIP_SECONDS = 0.2
PROMPTS = "/api/public/v2/prompts/"

TEXT = (
    "You are {{role}}, who answers the customers of {{company}} in a friendly and precise way. "
    "Keep to what the manual says, and name the page. Today is {{day}}. You are prompt "
)
CHAT = [
    {"role": "system", "content": "You are {{role}} at {{company}}, and today is {{day}}."},
    {"type": "placeholder", "name": "history"},
    {"role": "user", "content": "What does {{company}} offer on {{day}}?"},
]
CONFIG = {"model": "gpt-4o", "temperature": 0.2, "max_tokens": 200}
MODEL_ANSWER = "We are open from nine to five, and the manual says more on page 12."

_TOKEN = re.compile(rb"You are (t\d{9}),")
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


def _answer(body: bytes, status: str = "200 OK", kind: str = "application/json", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {kind}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def _json(value: object, status: str = "200 OK", *headers: str) -> bytes:
    return _answer(json.dumps(value, separators=(",", ":")).encode(), status, "application/json", *headers)


def _prompt(name: str) -> bytes:
    kind, prompt = ("chat", CHAT) if name.startswith("chat") else ("text", TEXT + name)
    return _json(
        {
            "id": f"id-{name}", "projectId": "benchmark", "name": name, "version": 1, "type": kind, "prompt": prompt,
            "config": CONFIG, "labels": ["production", "latest"], "tags": [], "commitMessage": None,
            "createdBy": "API", "createdAt": "2026-01-02T03:04:05.000Z", "updatedAt": "2026-01-02T03:04:05.000Z",
        }
    )  # fmt: skip


def _completion() -> bytes:
    message = {"role": "assistant", "content": MODEL_ANSWER, "refusal": None}
    usage = {"prompt_tokens": 60, "completion_tokens": 20, "total_tokens": 80}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    common = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1767323045, "model": "gpt-4o-2024-08-06"}
    return _json({**common, "choices": [choice], "usage": usage})


def _stream() -> bytes:
    common = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1767323045, "model": "gpt-4o"}
    deltas: list[dict[str, object]] = [{"delta": {"content": f" word{n}"}} for n in range(STREAMED_CHUNKS - 1)]
    deltas.append({"delta": {}, "finish_reason": "stop"})
    choices = ({"index": 0, "logprobs": None, "finish_reason": None, **delta} for delta in deltas)
    events = [json.dumps({**common, "choices": [choice]}, separators=(",", ":")) for choice in choices]
    pieces = [f"data: {event}\n\n".encode() for event in (*events, "[DONE]")]
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


COMPLETION, STREAM = _completion(), _stream()


class Connection(asyncio.Protocol):
    """One client's; ``counts`` is shared by all."""

    def __init__(self, counts: Counter[str]) -> None:
        self.counts = counts
        self.buffer = b""
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n") + 4) > 3:
            length = _LENGTH.search(self.buffer, 0, end)
            size = end + int(length[1]) if length else end
            if len(self.buffer) < size:
                return
            request, self.buffer = self.buffer[:size], self.buffer[size:]
            self._serve(request, end)

    def _serve(self, request: bytes, end: int) -> None:
        if request.startswith(b"POST"):
            self._complete(request[end:])
            return
        path = request.split(b" ", 2)[1].decode().partition("?")[0]
        if path == "/counts":
            self.transport.write(_json(self.counts))
            return
        name = path.removeprefix(PROMPTS)
        self.counts[name] += 1
        FAULTS.get(name.partition("-")[0], Connection.rightly)(self, name)

    def _complete(self, body: bytes) -> None:
        if b'"model":"broken"' in body:
            self.transport.write(_json({"error": {"message": "broken"}}, "500 Internal Server Error"))
        elif b'"model":"silent"' not in body:
            answer = STREAM if b'"stream":true' in body or b'"stream": true' in body else COMPLETION
            token = _TOKEN.search(body)
            self.transport.write(answer.replace(b"chatcmpl-1", token[1]) if token else answer)

    def rightly(self, name: str) -> None:
        self.transport.write(_prompt(name))

    def slow(self, name: str) -> None:
        asyncio.get_running_loop().call_later(SLOW_SECONDS, self.rightly, name)

    def hang(self, _: str) -> None:
        """The client is never answered."""

    def drip(self, name: str, at: int = 0) -> None:
        answer = _prompt(name)
        if at < len(answer) and not self.transport.is_closing():
            self.transport.write(answer[at : at + 1])
            asyncio.get_running_loop().call_later(DRIP_SECONDS, self.drip, name, at + 1)

    def drop(self, name: str) -> None:
        self.transport.write(_prompt(name)[:-100])
        self.transport.close()

    def reset(self, _: str) -> None:
        linger = struct.pack("ii", 1, 0)  # on, for 0 s: closing sends a reset
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.transport.abort()


def _always(answer: bytes) -> Callable[[Connection, str], None]:
    return lambda connection, _: connection.transport.write(answer)


_PAGE = b"<!DOCTYPE html><html><body>Not what you asked for</body></html>"
FAULTS: dict[str, Callable[[Connection, str], None]] = {
    "slow": Connection.slow,
    "hang": Connection.hang,
    "drip": Connection.drip,
    "500": _always(_json({"message": "broken", "error": "InternalServerError"}, "500 Internal Server Error")),
    "503": _always(_answer(_PAGE, "503 Service Unavailable", "text/html")),
    "429": _always(_json({"message": "Rate limit exceeded"}, "429 Too Many Requests", "Retry-After: 1")),
    "garbage": _always(_answer(_PAGE, kind="text/html")),
    "401": _always(_json({"message": "Invalid credentials", "error": "UnauthorizedError"}, "401 Unauthorized")),
    "drop": Connection.drop,
    "reset": Connection.reset,
}


async def serve() -> None:
    """Print the port, and serve until standard input ends: with the client's process, however that ends."""
    counts: Counter[str] = Counter()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(counts), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve())
