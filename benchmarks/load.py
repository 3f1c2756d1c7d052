"""A client that costs less than any server it loads: raw HTTP/1.1 on kept connections."""

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

KEY = "sk-b7e0c4f1a2d94e58830fa6c1d2e39b47"  # LiteLLM takes no short one


def post(body: bytes, port: int, path: str = "/v1/chat/completions") -> bytes:
    """A request as it goes over the wire."""
    lines = (
        f"POST {path} HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "Content-Type: application/json",
        f"Authorization: Bearer {KEY}",
        f"Content-Length: {len(body)}",
    )
    return "\r\n".join([*lines, "", ""]).encode() + body


@dataclass
class Load:
    """One run's requests: ``ask`` gives the next one, ``judge`` is told each answer; both run between two reads."""

    port: int
    ask: Callable[[], bytes | None]
    judge: Callable[[bytes], None]
    seconds: list[float] = field(default_factory=list)
    rate: float = 0.0

    async def run(self, at_once: int) -> float:
        """Requests per second."""
        start = time.perf_counter()
        await asyncio.gather(*(self._client() for _ in range(at_once)))
        return len(self.seconds) / (time.perf_counter() - start)

    async def _client(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=2**20)
        while (request := self.ask()) is not None:
            start = time.perf_counter()
            writer.write(request)
            answer = await read_answer(reader)
            self.seconds.append(time.perf_counter() - start)
            self.judge(answer)
        writer.close()


async def read_answer(reader: asyncio.StreamReader) -> bytes:
    """Head and body of the next answer, whose length is given or which comes in chunks."""
    head = await reader.readuntil(b"\r\n\r\n")
    low = head.lower()
    if (at := low.find(b"content-length:")) >= 0:
        return head + await reader.readexactly(int(low[at + 15 : low.index(b"\r", at)]))
    body = b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readexactly(2)
    return head + body


def times(request: bytes, number: int) -> Callable[[], bytes | None]:
    """The same request, so many times."""
    left: Iterator[bytes] = iter([request] * number)
    return lambda: next(left, None)


def expect_200(answer: bytes) -> None:
    """What a benchmark's answers are, or it measures something else."""
    if not answer.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(answer[:500].decode(errors="replace"))
