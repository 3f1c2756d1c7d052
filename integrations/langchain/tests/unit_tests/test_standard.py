"""LangChain's standard suites, unmodified, on the strict double."""

from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_openai import ChatOpenAI
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests

from langchain_promptwire import ChatPromptwire, ChatPromptwireGateway
from promptwire import Resolver
from promptwire.backends.memory import MemoryBackend

# Its v3 events are in beta, and the suite calls them.
pytestmark = [
    pytest.mark.usefixtures("openai"),
    pytest.mark.filterwarnings("ignore::langchain_core._api.beta_decorator.LangChainBetaWarning"),
]

PERSONA = Resolver(MemoryBackend({"persona": [{"role": "system", "content": "You answer in JSON where asked to."}]}))


class Unit(ChatModelUnitTests):
    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatPromptwire


class Integration(ChatModelIntegrationTests):
    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatPromptwire

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def model_override_value(self) -> str | None:
        return "gpt-4o"


class _Gateway:
    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatPromptwireGateway

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": "gpt-4o-mini"}


class _Prompt:
    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": "gpt-4o-mini", "prompt_id": "persona", "resolver": PERSONA}


class _Delegate:
    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"prompt_id": "persona", "resolver": PERSONA, "llm": ChatOpenAI(model="gpt-4o-mini", stream_usage=True)}


class _Plain:
    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": "gpt-4o-mini"}


class TestGatewayUnit(_Gateway, Unit):
    pass


class TestGatewayIntegration(_Gateway, Integration):
    pass


class TestPromptUnit(_Prompt, Unit):
    pass


class TestPromptIntegration(_Prompt, Integration):
    pass


class TestDelegateUnit(_Delegate, Unit):
    pass


# Plain ChatOpenAI warns of these two in the same tests.
@pytest.mark.filterwarnings("ignore:Received a Pydantic BaseModel V1 schema", "ignore:Pydantic serializer warnings")
class TestDelegateIntegration(_Delegate, Integration):
    pass


class TestPlainIntegration(_Plain, Integration):
    pass
