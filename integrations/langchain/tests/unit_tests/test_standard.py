"""LangChain's standard suites, unmodified, on the strict doubles of both wires."""

import base64
import inspect
import itertools
import re
from functools import partial
from types import SimpleNamespace
from typing import Any, ClassVar, Literal

import pytest
from langchain.chat_models import init_chat_model
from langchain_anthropic import ChatAnthropic
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, SystemMessage
from langchain_openai import ChatOpenAI
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.integration_tests import chat_models as suite
from langchain_tests.unit_tests import ChatModelUnitTests

from langchain_promptwire import ChatPromptwire, ChatPromptwireGateway
from promptwire import Resolver
from promptwire.backends.memory import MemoryBackend
from tests.doubles.anthropic import FakeAnthropic

GPT, CLAUDE = "gpt-4o-mini", "claude-haiku-4-5"
PERSONA = [{"role": "system", "content": "You answer in JSON where asked to."}]
BACKEND = MemoryBackend({"persona": PERSONA})
BACKEND.publish("claude", PERSONA, config={"provider": "anthropic", "model": CLAUDE})
RESOLVER = Resolver(BACKEND)
NUMBERS = itertools.count()

Detail = Literal["audio_input", "audio_output", "reasoning_output", "cache_read_input", "cache_creation_input"]


@pytest.fixture(autouse=True)
def signed_by_the_vendor(anthropic: FakeAnthropic) -> None:
    """The suite holds a thought that the real API signed."""
    source = inspect.getsource(suite.ChatModelIntegrationTests.test_anthropic_inputs)
    after = source.partition('"signature": (')[2].partition(")")[0]
    anthropic.signatures.add("".join(re.findall(r'"(.+)"', after)))


@pytest.fixture
def local_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """The suite fetches its pictures and papers; what is in them is nothing to the doubles."""
    content = b"bytes of a file"
    monkeypatch.setattr(suite, "httpx", SimpleNamespace(get=lambda *_, **__: SimpleNamespace(content=content)))
    monkeypatch.setattr(suite, "_get_base64_from_url", lambda _: base64.b64encode(content).decode())


pytestmark = [
    pytest.mark.usefixtures("openai", "anthropic", "local_files"),
    # Its v3 events are in beta, and the suite calls them.
    pytest.mark.filterwarnings("ignore::langchain_core._api.beta_decorator.LangChainBetaWarning"),
]


class OnOpenAI:
    """What Chat Completions takes: results of tools are texts there."""

    supports_json_mode = True
    supports_image_inputs = True
    supports_image_urls = True
    supports_pdf_inputs = True
    supports_audio_inputs = True
    model_override_value = "gpt-4o"


class OnAnthropic:
    """What the Messages API takes: no sound."""

    supports_image_inputs = True
    supports_image_urls = True
    supports_pdf_inputs = True
    supports_image_tool_message = True
    supports_pdf_tool_message = True
    supports_anthropic_inputs = True
    model_override_value = "claude-sonnet-4-6"


class _Counted:
    """The counts that Anthropic's API gives in detail."""

    chat_model_class: ClassVar[type[BaseChatModel]]
    chat_model_params: ClassVar[dict[str, Any]]

    @property
    def supported_usage_metadata_details(self) -> dict[Literal["invoke", "stream"], list[Detail]]:
        kinds: list[Detail] = ["reasoning_output", "cache_read_input", "cache_creation_input"]
        return {"invoke": kinds, "stream": kinds}

    def invoke_with_reasoning_output(self, *, stream: bool = False) -> AIMessage:
        return self._ask("Hi", stream=stream, reasoning_effort="low")

    def invoke_with_cache_creation_input(self, *, stream: bool = False) -> AIMessage:
        return self._ask(f"Instructions {next(NUMBERS)}", stream=stream)

    def invoke_with_cache_read_input(self, *, stream: bool = False) -> AIMessage:
        text = f"Instructions {next(NUMBERS)}"
        self._ask(text, stream=False)
        return self._ask(text, stream=stream)

    def _ask(self, text: str, *, stream: bool, **params: Any) -> AIMessage:
        model = self.chat_model_class(**self.chat_model_params)
        cached = {"type": "text", "text": text, "cache_control": {"type": "ephemeral"}}
        turns = [SystemMessage([cached]), HumanMessage("Hi")]
        if not stream:
            answer: AIMessage = model.invoke(turns, **params)
            return answer
        whole, *rest = model.stream(turns, **params)
        for chunk in rest:
            whole = whole + chunk
        assert isinstance(whole, AIMessageChunk)
        return whole


class Gateway:
    chat_model_class = ChatPromptwireGateway
    chat_model_params: ClassVar[dict[str, Any]] = {"model": GPT}
    supports_anthropic_inputs = True


class GatewayOnAnthropic(_Counted):
    chat_model_class = ChatPromptwireGateway
    chat_model_params: ClassVar[dict[str, Any]] = {"model": f"anthropic/{CLAUDE}"}
    supports_json_mode = True


class OverGateway:
    chat_model_class = ChatPromptwire
    chat_model_params: ClassVar[dict[str, Any]] = {"model": GPT, "prompt_id": "persona", "resolver": RESOLVER}
    supports_anthropic_inputs = True


class OverGatewayOnAnthropic(_Counted):
    chat_model_class = ChatPromptwire
    chat_model_params: ClassVar[dict[str, Any]] = {
        "model": f"anthropic/{CLAUDE}",
        "prompt_id": "persona",
        "resolver": RESOLVER,
    }
    supports_json_mode = True


class OverChatOpenAI:
    chat_model_class = ChatPromptwire

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"prompt_id": "persona", "resolver": RESOLVER, "llm": ChatOpenAI(model=GPT, stream_usage=True)}


class OverChatAnthropic:
    chat_model_class = ChatPromptwire

    @property
    def chat_model_params(self) -> dict[str, Any]:
        llm = ChatAnthropic(model=CLAUDE)  # type: ignore[call-arg]
        return {"prompt_id": "persona", "resolver": RESOLVER, "llm": llm}


class OverFactory:
    """The caller names the model, and LangChain's factory makes it."""

    chat_model_class = ChatPromptwire
    chat_model_params: ClassVar[dict[str, Any]] = {
        "prompt_id": "persona", "resolver": RESOLVER, "model": GPT,
        "llm": partial(init_chat_model, stream_usage=True),
    }  # fmt: skip


class OverFactoryOfPrompt:
    """The prompt names the model and its provider."""

    chat_model_class = ChatPromptwire
    chat_model_params: ClassVar[dict[str, Any]] = {"prompt_id": "claude", "resolver": RESOLVER, "llm": init_chat_model}


class Plain:
    """No prompt at all."""

    chat_model_class = ChatPromptwire
    chat_model_params: ClassVar[dict[str, Any]] = {"model": GPT}
    supports_anthropic_inputs = True


class TestGatewayUnit(Gateway, OnOpenAI, ChatModelUnitTests):
    pass


class TestGatewayOnAnthropicUnit(GatewayOnAnthropic, OnAnthropic, ChatModelUnitTests):
    pass


class TestOverGatewayUnit(OverGateway, OnOpenAI, ChatModelUnitTests):
    pass


class TestOverGatewayOnAnthropicUnit(OverGatewayOnAnthropic, OnAnthropic, ChatModelUnitTests):
    pass


class TestOverChatOpenAIUnit(OverChatOpenAI, OnOpenAI, ChatModelUnitTests):
    pass


class TestOverChatAnthropicUnit(OverChatAnthropic, OnAnthropic, ChatModelUnitTests):
    pass


class TestOverFactoryUnit(OverFactory, OnOpenAI, ChatModelUnitTests):
    pass


class TestOverFactoryOfPromptUnit(OverFactoryOfPrompt, OnAnthropic, ChatModelUnitTests):
    pass


class TestGateway(Gateway, OnOpenAI, ChatModelIntegrationTests):
    pass


class TestGatewayOnAnthropic(GatewayOnAnthropic, OnAnthropic, ChatModelIntegrationTests):
    pass


class TestOverGateway(OverGateway, OnOpenAI, ChatModelIntegrationTests):
    pass


class TestOverGatewayOnAnthropic(OverGatewayOnAnthropic, OnAnthropic, ChatModelIntegrationTests):
    pass


# Plain ChatOpenAI warns of the same in these tests.
_OPENAIS_OWN = pytest.mark.filterwarnings(
    "ignore:Received a Pydantic BaseModel V1 schema",
    "ignore:Pydantic serializer warnings",
    "ignore:OpenAI may require a filename",
)


@_OPENAIS_OWN
class TestOverChatOpenAI(OverChatOpenAI, OnOpenAI, ChatModelIntegrationTests):
    pass


class TestOverChatAnthropic(OverChatAnthropic, OnAnthropic, ChatModelIntegrationTests):
    pass


@_OPENAIS_OWN
class TestOverFactory(OverFactory, OnOpenAI, ChatModelIntegrationTests):
    pass


class TestOverFactoryOfPrompt(OverFactoryOfPrompt, OnAnthropic, ChatModelIntegrationTests):
    pass


class TestPlain(Plain, OnOpenAI, ChatModelIntegrationTests):
    pass
