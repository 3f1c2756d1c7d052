"""``completion()`` and ``acompletion()``: LiteLLM's call, with a managed prompt behind it."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing
from time import perf_counter
from typing import Any, Literal, Unpack, overload

from promptwire.gateway.answers import Answer, AsyncStream, PromptInfo, Stream, answer
from promptwire.gateway.ask import Ask
from promptwire.gateway.driver import achunks, aconnect, asend, chunks, connect, send
from promptwire.gateway.parameters import CompletionOptions
from promptwire.rollout import Label
from promptwire.telemetry.operations import Observed, begin


@overload
def completion(*, stream: Literal[False] = False, **options: Unpack[CompletionOptions]) -> Answer: ...


@overload
def completion(*, stream: Literal[True], **options: Unpack[CompletionOptions]) -> Stream: ...


@overload
def completion(*, stream: bool, **options: Unpack[CompletionOptions]) -> Answer | Stream: ...


def completion(
    *,
    model: str | None = None,
    messages: Sequence[Mapping[str, Any]] | None = None,
    prompt_id: str | None = None,
    prompt_variables: Mapping[str, Any] | None = None,
    prompt_label: Label = None,
    prompt_version: int | str | None = None,
    message_mode: str = "auto",
    stream: bool = False,
    **options: Any,
) -> Answer | Stream:
    """Run a managed prompt, or plain messages, on the model that the prompt or the caller names.

    ``model`` is ``[backend/][provider/]model``. ``prompt_label`` may hold weights, of which ``rollout_key`` chooses one
    for good. Answers an OpenAI-shaped completion, or with ``stream=True`` an iterator of chunks; ``.prompt`` says which
    prompt made it. Raises ``PromptwireError``. Options are

    - of the prompt: ``resolver``, ``missing``, ``fallback``, ``rollout_key``, ``text_role``, ``input_variable``,
      ``messages_placeholder``, ``ignore_prompt_model``, ``ignore_prompt_params``, ``allowed_models``;
    - of the model: ``api_key``, ``api_base`` (or ``base_url``), ``api_version``, ``timeout`` (seconds, 600),
      ``max_retries`` (2), ``extra_headers``, ``extra_body``, and any OpenAI parameter;
    - of the backend: ``langfuse_public_key``, ``langfuse_secret_key`` (or ``langfuse_secret``), ``langfuse_host``,
      ``humanloop_api_key``, ``humanloop_base_url``, ``humanloop_dir``, ``prompts_dir``.
    """
    ask = Ask.of(locals())
    resolver, call = ask.resolver, ask.call
    found = resolver.find(call.prompt_id, **call.options()) if call else None
    plan = ask.plan(found, ask.target(found))
    seen = begin(plan)
    if not stream:
        started = perf_counter()
        with seen.sending():
            body = send(plan.call)
        seen.answered(body)
        return answer(body, plan.info, perf_counter() - started)
    with seen.sending():
        stack, opened = connect(plan.call)
    stack.push(seen.closed)
    return Stream(_answers(chunks(plan.call, stack, opened), plan.info, seen), stack.close, plan.info)


@overload
async def acompletion(*, stream: Literal[False] = False, **options: Unpack[CompletionOptions]) -> Answer: ...


@overload
async def acompletion(*, stream: Literal[True], **options: Unpack[CompletionOptions]) -> AsyncStream: ...


@overload
async def acompletion(*, stream: bool, **options: Unpack[CompletionOptions]) -> Answer | AsyncStream: ...


async def acompletion(
    *,
    model: str | None = None,
    messages: Sequence[Mapping[str, Any]] | None = None,
    prompt_id: str | None = None,
    prompt_variables: Mapping[str, Any] | None = None,
    prompt_label: Label = None,
    prompt_version: int | str | None = None,
    message_mode: str = "auto",
    stream: bool = False,
    **options: Any,
) -> Answer | AsyncStream:
    """``completion`` without blocking the loop; with ``stream=True`` an iterator for ``async for``."""
    ask = Ask.of(locals())
    resolver, call = ask.resolver, ask.call
    found = await resolver.afind(call.prompt_id, **call.options()) if call else None
    plan = ask.plan(found, ask.target(found))
    seen = begin(plan)
    if not stream:
        started = perf_counter()
        with seen.sending():
            body = await asend(plan.call)
        seen.answered(body)
        return answer(body, plan.info, perf_counter() - started)
    with seen.sending():
        stack, opened = await aconnect(plan.call)
    stack.push(seen.closed)
    return AsyncStream(_aanswers(achunks(plan.call, stack, opened), plan.info, seen), stack.aclose, plan.info)


def _answers(chunks: Iterator[dict[str, Any]], info: PromptInfo | None, seen: Observed) -> Iterator[Answer]:
    for chunk in chunks:
        seen.hear(chunk)
        yield answer(chunk, info)


async def _aanswers(
    chunks: AsyncGenerator[dict[str, Any]], info: PromptInfo | None, seen: Observed
) -> AsyncIterator[Answer]:
    async with aclosing(chunks) as arriving:
        async for chunk in arriving:
            seen.hear(chunk)
            yield answer(chunk, info)
