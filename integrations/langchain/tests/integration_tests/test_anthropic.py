"""LangChain's standard suite against Anthropic itself."""

import os
from typing import Any

import pytest
from langchain_anthropic import ChatAnthropic
from langchain_core.language_models import BaseChatModel
from langchain_tests.integration_tests import ChatModelIntegrationTests

from langchain_promptwire import ChatPromptwire, ChatPromptwireGateway
from promptwire import Resolver
from promptwire.backends.memory import MemoryBackend

pytestmark = pytest.mark.skipif(
    not os.environ.get("ANTHROPIC_API_KEY"), reason="needs ANTHROPIC_API_KEY; `make integration_tests` hands it on"
)

MODEL = "claude-haiku-4-5"
PROMPT = {
    "prompt_id": "persona",
    "resolver": Resolver(MemoryBackend({"persona": [{"role": "system", "content": "You are brief."}]})),
}


class _Anthropic(ChatModelIntegrationTests):
    supports_image_inputs = True
    supports_pdf_inputs = True
    supports_anthropic_inputs = True
    model_override_value = "claude-sonnet-4-6"

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatPromptwire


class TestGateway(_Anthropic):
    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatPromptwireGateway

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": f"anthropic/{MODEL}"}


class TestChatPromptwire(_Anthropic):
    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": f"anthropic/{MODEL}", **PROMPT}


class TestOverChatAnthropic(_Anthropic):
    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"llm": ChatAnthropic(model_name=MODEL, timeout=60, stop=None), **PROMPT}
