"""What ``completion()`` answers: OpenAI's JSON with attribute access, and streams of it."""

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from promptwire.display import Displayed
from promptwire.prompts import Prompt
from promptwire.rendered import RenderedPrompt

if TYPE_CHECKING:
    from promptwire.display.view import View

# Fields that OpenAI's API may leave out, and its SDK then answers None for.
_OPTIONAL = frozenset(
    {
        "annotations", "audio", "completion_tokens_details", "content", "finish_reason", "function_call", "logprobs",
        "prompt_tokens_details", "reasoning", "reasoning_content", "refusal", "role", "service_tier",
        "system_fingerprint", "tool_calls", "usage",
    }
)  # fmt: skip


class Answer(Displayed, dict[str, Any]):
    """A JSON object whose keys are attributes too; a field that the API left out is ``None``."""

    __slots__ = ("_latency", "_prompt")

    _latency: float | None
    _prompt: "PromptInfo | None"

    def __getattr__(self, name: str) -> Any:
        try:
            value = self[name]
        except KeyError:
            if name in _OPTIONAL:
                return None
            raise AttributeError(f"the model's answer has no {name!r}") from None
        wrapped = _wrap(value)
        if wrapped is not value:
            self[name] = wrapped
        return wrapped

    def __reduce__(self) -> tuple[Any, ...]:
        return answer, (dict(self), self.prompt, self.latency)

    @property
    def prompt(self) -> "PromptInfo | None":
        """Which prompt made this answer; ``None`` for a call without one, and inside nested objects."""
        return getattr(self, "_prompt", None)

    @property
    def latency(self) -> float | None:
        """Seconds from the request to the whole answer; ``None`` for chunks and nested objects."""
        return getattr(self, "_latency", None)

    def _view(self) -> "View":
        from promptwire.display.answers import answer_view

        return answer_view(self)

    def model_dump(self) -> dict[str, Any]:
        """A plain dict, as OpenAI's SDK names the method."""
        return _plain(self)  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True)
class PromptInfo:
    """The prompt behind an answer; ``prompt_source`` is ``fresh``, ``cached``, ``stale``, ``store`` or ``fallback``.

    ``passed_over`` says why backends that were asked first didn't serve it.
    """

    prompt_id: str
    prompt_version: int | str | None
    prompt_label: str | None
    prompt_backend: str
    prompt_source: str
    content_hash: str
    passed_over: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """``prompt_id``."""
        return self.prompt_id

    @property
    def version(self) -> int | str | None:
        """``prompt_version``."""
        return self.prompt_version

    @property
    def backend(self) -> str:
        """``prompt_backend``."""
        return self.prompt_backend

    @property
    def source(self) -> str:
        """``prompt_source``."""
        return self.prompt_source


def describe(rendered: RenderedPrompt, label: str | None) -> PromptInfo:
    """What answers and traces tell of a prompt: its identity, never its variables."""
    return describe_found((rendered.prompt, rendered.source), label)


def describe_found(found: tuple[Prompt, str], label: str | None) -> PromptInfo:
    """``describe`` before the prompt is rendered."""
    prompt, source = found
    return PromptInfo(prompt.id, prompt.version, label, prompt.backend, source, prompt.content_hash, prompt.passed_over)


def answer(body: dict[str, Any], info: PromptInfo | None, latency: float | None = None) -> Answer:
    """A completion or a chunk, with the prompt behind it, and the seconds it took."""
    made = Answer(body)
    made._prompt, made._latency = info, latency  # noqa: SLF001 - its own module
    return made


class Stream:
    """Chunks as they arrive. ``close()``, or leaving a ``with``, ends the request; so does the last chunk."""

    def __init__(self, chunks: Iterator[Answer], close: Callable[[], Any], prompt: PromptInfo | None) -> None:
        self._chunks = chunks
        self._close = close
        self._closed = False
        self.prompt = prompt

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Answer:
        if self._closed:
            raise StopIteration
        return next(self._chunks)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop reading, and let the provider stop generating."""
        self._closed = True
        self._close()


class AsyncStream:
    """``Stream`` for ``async for``."""

    def __init__(self, chunks: AsyncIterator[Answer], close: Callable[[], Any], prompt: PromptInfo | None) -> None:
        self._chunks = chunks
        self._close = close
        self._closed = False
        self.prompt = prompt

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Answer:
        if self._closed:
            raise StopAsyncIteration
        return await anext(self._chunks)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Stop reading, and let the provider stop generating."""
        self._closed = True
        await self._close()


def _wrap(value: Any) -> Any:
    if type(value) is dict:
        return Answer(value)
    if type(value) is list and any(type(item) is dict for item in value):
        return [_wrap(item) for item in value]
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value
