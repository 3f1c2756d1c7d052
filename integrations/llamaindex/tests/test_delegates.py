"""``llm=``: LlamaIndex's own LLMs run the prompt."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from llama_index.core.base.llms.types import LLMMetadata
from llama_index.core.llms import ChatMessage, MockLLM
from llama_index.core.llms.llm import LLM
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai import OpenAI
from llama_index.llms.openai_like import OpenAILike  # type: ignore[import-untyped]
from llama_index.llms.promptwire import Promptwire, PromptwireGateway

from promptwire import ConfigurationError, PromptConfigError, Resolver
from promptwire.backends.memory import MemoryBackend
from promptwire.testing import FakeOpenAI

Mock = Callable[..., LLM]


def add(a: int, b: int) -> int:
    """Adds."""
    return a + b


def made(kind: str, openai: FakeOpenAI, **more: Any) -> LLM:
    """A LlamaIndex LLM pointed at the double."""
    common = {"api_key": openai.api_key, "api_base": openai.url, "max_retries": 0, **more}
    if kind == "openai":
        return OpenAI(model="gpt-4o-mini", **common)
    if kind == "like":
        abilities = {"is_chat_model": True, "is_function_calling_model": True}
        return OpenAILike(model="gpt-4o-mini", **abilities, **common)  # type: ignore[no-any-return]
    return PromptwireGateway(model="gpt-4o-mini", api_key=openai.api_key, base_url=openai.url, max_retries=0, **more)


@pytest.fixture(params=["openai", "like", "gateway"])
async def delegate(request: pytest.FixtureRequest, openai: FakeOpenAI) -> AsyncIterator[LLM]:
    llm = made(request.param, openai)
    yield llm
    client = getattr(llm, "_aclient", None)
    if client is not None:
        await client.close()


def over(llm: LLM, resolver: Resolver, **more: Any) -> Promptwire:
    return Promptwire(
        **{"llm": llm, "prompt_id": "greeting", "prompt_variables": {"name": "Ada"}, **more}, resolver=resolver
    )


async def test_all_endpoints(delegate: LLM, resolver: Resolver, openai: FakeOpenAI) -> None:
    llm = over(delegate, resolver)
    said = [
        llm.chat([]).message.content,
        [*llm.stream_chat([])][-1].message.content,
        llm.complete("").text,
        (await llm.achat([])).message.content,
        [one async for one in await llm.astream_chat([])][-1].message.content,
        (await llm.acomplete("")).text,
    ]
    assert said == ["[gpt-4o-mini] Hello Ada"] * 6
    sent = [request.json["messages"] for request in openai.requests]
    assert sent == [[{"role": "user", "content": "Hello Ada"}]] * 6


def test_the_prompts_model_and_parameters_run_on_one_copy(
    delegate: LLM, resolver: Resolver, openai: FakeOpenAI
) -> None:
    llm = over(delegate, resolver, prompt_id="tuned")
    for _ in range(3):
        llm.complete("")
        sent = openai.requests[-1].json
        assert [sent[key] for key in ("model", "temperature", "max_tokens")] == ["gpt-4o", 0.3, 50]
    assert delegate.model == "gpt-4o-mini"  # type: ignore[attr-defined]
    assert over(delegate, resolver).complete("").text == "[gpt-4o-mini] Hello Ada"


def test_a_client_is_not_built_per_call(resolver: Resolver, openai: FakeOpenAI) -> None:
    built: list[str] = []

    class Counted(OpenAI):
        def _get_credential_kwargs(self, is_async: bool = False) -> dict[str, Any]:  # noqa: FBT001, FBT002 - theirs
            built.append(self.model)
            return super()._get_credential_kwargs(is_async)

    llm = over(Counted(model="gpt-4o-mini", api_key=openai.api_key, api_base=openai.url), resolver, prompt_id="tuned")
    for _ in range(3):
        llm.complete("")
        llm.bind(seed=1).complete("")
    assert built == ["gpt-4o"]


@pytest.mark.parametrize("kind", ["openai", "like", "gateway"])
def test_parameters_outrank_the_delegates_own(kind: str, resolver: Resolver, openai: FakeOpenAI) -> None:
    """LlamaIndex's OpenAI lets its own max_tokens and additional_kwargs beat those of a call."""
    own = made(kind, openai, max_tokens=100, temperature=1.0, additional_kwargs={"seed": 1, "user": "me"})
    llm = over(own, resolver, prompt_id="tuned", temperature=0.9)
    llm.complete("", seed=2)
    sent = openai.requests[-1].json
    assert [sent[key] for key in ("max_tokens", "temperature", "seed", "user")] == [50, 0.3, 2, "me"]
    llm.complete("", max_completion_tokens=7)
    assert "max_tokens" not in openai.requests[-1].json
    over(own, resolver).complete("")
    sent = openai.requests[-1].json
    assert [sent[key] for key in ("max_tokens", "temperature", "seed", "user")] == [100, 1.0, 1, "me"]


def test_another_providers_model_is_refused(mock: Mock, resolver: Resolver) -> None:
    with pytest.raises(PromptConfigError, match=r"openai/gpt-4o.*'tuned'.*llm_factory="):
        over(mock(), resolver, prompt_id="tuned").complete("")
    assert over(mock(), resolver, prompt_id="tuned", ignore_prompt_model=True).complete("").text == "Hello Ada"


def test_a_model_that_cant_be_set_is_refused(mock: Mock, library: MemoryBackend, resolver: Resolver) -> None:
    library.publish("named", "Hi", config={"model": "unheard-of"})
    with pytest.raises(PromptConfigError, match="MockFunctionCallingLLM"):
        over(mock(), resolver, prompt_id="named").complete("")


def test_behind_an_address_of_the_callers_any_model_runs(
    library: MemoryBackend, resolver: Resolver, openai: FakeOpenAI
) -> None:
    library.publish("other", "Hi", config={"model": "mistralai/mixtral"})
    assert over(made("like", openai), resolver, prompt_id="other").complete("").text == "[mistralai/mixtral] Hi"
    llm = Promptwire(model="x", base_url=openai.url, api_key=openai.api_key, prompt_id="other", resolver=resolver)
    assert llm.complete("").text == "[mistralai/mixtral] Hi"


def test_the_address_may_be_a_property(library: MemoryBackend, resolver: Resolver) -> None:
    class Hosted(MockLLM):
        model: str = "own"

        @property
        def base_url(self) -> str:
            return "http://127.0.0.1:1/v1"

    library.publish("other", "Hi", config={"model": "anthropic/claude-x"})
    assert over(Hosted(max_tokens=None), resolver, prompt_id="other").complete("").text == "user: Hi\nassistant: "


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [({"model": "gpt-4.1"}, "gpt-4.1"), ({"model": "memory/openai/gpt-4.1"}, "gpt-4.1"), ({}, "gpt-4o-mini")],
)
def test_the_callers_model(
    arguments: dict[str, Any], wanted: str, delegate: LLM, resolver: Resolver, openai: FakeOpenAI
) -> None:
    llm = over(delegate, resolver, **arguments, fallback="Hi")
    llm.complete("")
    assert openai.requests[-1].json["model"] == wanted
    llm.complete("", model="o3")
    assert openai.requests[-1].json["model"] == "o3"


@pytest.mark.parametrize("kind", ["openai", "like"])
def test_a_model_that_takes_one_temperature(
    kind: str, library: MemoryBackend, resolver: Resolver, openai: FakeOpenAI
) -> None:
    """LlamaIndex's constructor sees to it, which makes no copy; a prompt that sets one has it sent."""
    library.publish("thinker", "Hi", config={"model": "o3-mini"})
    library.publish("warm", "Hi", config={"model": "o3-mini", "temperature": 0.3})
    llm = over(made(kind, openai, temperature=0.2), resolver)
    calls: list[dict[str, Any]] = [{"prompt_id": "thinker"}, {"model": "o3-mini"}, {"prompt_id": "warm"}, {}]
    for asked in calls:
        llm.complete("", **asked)
    sent = [(request.json["model"], request.json["temperature"]) for request in openai.requests]
    assert sent == [("o3-mini", 1.0), ("o3-mini", 1.0), ("o3-mini", 0.3), ("gpt-4o-mini", 0.2)]


async def test_a_mock_with_tools_and_one_without(mock: Mock, resolver: Resolver) -> None:
    tool = FunctionTool.from_defaults(add)
    llm = over(mock(), resolver, prompt_id="persona")
    for answer in (llm.chat_with_tools([tool], "Add"), await llm.achat_with_tools([tool], "Add")):
        assert [call.tool_name for call in llm.get_tool_calls_from_response(answer)] == ["add"]
    with pytest.raises(ConfigurationError, match=r"MockLLM.. can't call tools"):
        over(MockLLM(), resolver).chat_with_tools([tool], "Add")


@pytest.mark.parametrize("name", ["api_key", "base_url", "timeout", "max_retries"])
def test_what_belongs_to_the_delegate(name: str) -> None:
    given: dict[str, Any] = {name: 3 if name in {"timeout", "max_retries"} else "x"}
    with pytest.raises(ConfigurationError, match=f"{name}= is for"):
        Promptwire(llm=MockLLM(), **given)


def test_the_provider_is_that_of_the_package(resolver: Resolver, openai: FakeOpenAI) -> None:
    class Acme(OpenAI):
        __module__ = "llama_index.llms.acme.base"

    class Own(Acme):
        """A user's subclass."""

    llm = Own(model="gpt-4o-mini", api_key=openai.api_key, api_base=openai.url, max_retries=0)
    over(llm, resolver, model="acme/gpt-4o").complete("")
    assert openai.requests[-1].json["model"] == "gpt-4o"


def test_a_rate_limiter_would_be_ignored_here() -> None:
    with pytest.raises(ConfigurationError, match="rate_limiter="):
        Promptwire(rate_limiter=object())


class Unresolved(Resolver):
    """Fails whoever looks for a prompt."""

    def find(self, *args: Any, **kwargs: Any) -> Any:
        raise AssertionError("looked for a prompt")


def test_metadata_asks_nobody(openai: FakeOpenAI) -> None:
    unknown = OpenAI(model="my-vllm", api_key="x")
    with pytest.raises(ValueError, match="my-vllm"):
        _ = unknown.metadata
    known = {
        "gateway": Promptwire(model="langfuse/openai/gpt-4o", prompt_id="x", resolver=Unresolved()).metadata,
        "odd": Promptwire(model="no/such/provider", resolver=Unresolved()).metadata,
        "unknown": Promptwire(llm=unknown, prompt_id="x", resolver=Unresolved()).metadata,
        "openai": Promptwire(llm=OpenAI(model="gpt-4o", api_key="x"), resolver=Unresolved()).metadata,
        "mock": Promptwire(llm=MockLLM(), num_output=7, context_window=5, is_function_calling_model=True).metadata,
    }
    assert all(one.is_chat_model for one in known.values())
    assert {name: (one.model_name, one.context_window, one.num_output) for name, one in known.items()} == {
        "gateway": ("gpt-4o", 3900, 256),
        "odd": ("no/such/provider", 3900, 256),
        "unknown": ("my-vllm", 3900, 256),
        "openai": ("gpt-4o", 128000, -1),
        "mock": ("unknown", 5, 7),
    }
    assert all(one.is_function_calling_model for one in known.values())
    assert Promptwire(llm=MockLLM()).metadata == LLMMetadata(num_output=-1, is_chat_model=True)
    assert openai.count == 0


def test_the_callers_list_and_messages_are_left_alone(delegate: LLM, resolver: Resolver) -> None:
    history = [ChatMessage("Who?", additional_kwargs={"mine": 1})]
    before = [message.model_dump() for message in history]
    llm = over(delegate, resolver, prompt_id="persona")
    llm.chat(history)
    llm.chat_with_tools([FunctionTool.from_defaults(add)], "And?", history)
    assert [message.model_dump() for message in history] == before
