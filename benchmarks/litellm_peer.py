"""LiteLLM as a peer: its own environment runs this, and the benchmarks talk to it by lines.

A line names a measurement and a number of calls; the answer is the seconds per call.
"""

import asyncio
import importlib.metadata
import json
import sys
import time
from collections.abc import Callable
from functools import cache
from typing import Any


def in_llama_index(call: dict[str, Any]) -> Callable[[int], None]:
    """LlamaIndex's own adapter; imported when it is first asked for, as it would slow down the others' start."""
    chats: list[Callable[[], object]] = []

    def chat() -> Callable[[], object]:
        from llama_index.core.llms import ChatMessage
        from llama_index.llms.litellm import LiteLLM  # type: ignore[import-untyped]

        named = {name: value for name, value in call.items() if name.startswith("prompt_")}
        llm = LiteLLM(model=call["model"], additional_kwargs=named)
        return lambda: llm.chat([ChatMessage("Hi")])

    def measure(number: int) -> None:
        if not chats:
            chats.append(chat())
        for _ in range(number):
            chats[0]()

    return measure


def run(call: dict[str, Any], answer: Callable[[object], None]) -> None:
    import litellm  # type: ignore[import-not-found]

    call = {**call, "messages": []}

    def sync(number: int) -> None:
        for _ in range(number):
            litellm.completion(**call)

    def stream(number: int) -> None:
        for _ in range(number):
            for _ in litellm.completion(**call, stream=True):
                pass

    llama_index = in_llama_index(call)

    async def at_once(number: int) -> None:
        left = iter(range(number))

        async def work() -> None:
            for _ in left:
                await litellm.acompletion(**call)

        await asyncio.gather(*(work() for _ in range(50)))

    sync(1)
    answer({name: importlib.metadata.version(name) for name in ("litellm", "langfuse")})
    with asyncio.Runner() as runner:
        measures: dict[str, Callable[[int], object]] = {
            "sync": sync,
            "stream": stream,
            "llama_index": llama_index,
            "langchain": lambda number: langchain(json.dumps(call), number),
            "at once": lambda number: runner.run(at_once(number)),
        }
        for line in sys.stdin:
            name, number = json.loads(line)
            start = time.perf_counter()
            measures[name](number)
            answer((time.perf_counter() - start) / number)


def langchain(call: str, number: int) -> None:
    model = _chat(call)
    for _ in range(number):
        model.invoke([])


@cache
def _chat(call: str) -> Any:
    """LangChain's model over LiteLLM, with the prompt of a call in JSON."""
    from langchain_litellm import ChatLiteLLM  # type: ignore[import-not-found]

    given = json.loads(call)
    prompt = {name: given[name] for name in ("prompt_id", "prompt_variables")}
    return ChatLiteLLM(model=given["model"], model_kwargs=prompt)


if __name__ == "__main__":
    # LiteLLM prints hints of its own to standard output.
    lines, sys.stdout = sys.stdout, sys.stderr
    run(json.loads(sys.argv[1]), lambda value: print(json.dumps(value), file=lines, flush=True))
