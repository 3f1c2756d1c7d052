"""LangChain's standard suite against OpenAI itself."""

import os
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_openai import ChatOpenAI
from langchain_tests.integration_tests import ChatModelIntegrationTests

from langchain_promptwire import ChatPromptwire, ChatPromptwireGateway
from promptwire import Resolver
from promptwire.backends.memory import MemoryBackend

pytestmark = pytest.mark.skipif(
    not os.environ.get("OPENAI_API_KEY"), reason="needs OPENAI_API_KEY; `make integration_tests` hands it on"
)

MODEL = "gpt-4o-mini"
PROMPT = {
    "prompt_id": "persona",
    "resolver": Resolver(MemoryBackend({"persona": [{"role": "system", "content": "You are brief."}]})),
}


class _OpenAI(ChatModelIntegrationTests):
    supports_json_mode = True
    supports_image_inputs = True
    model_override_value = "gpt-4o"

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatPromptwire


class TestGateway(_OpenAI):
    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatPromptwireGateway

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": MODEL}


class TestChatPromptwire(_OpenAI):
    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": MODEL, **PROMPT}


class TestOverChatOpenAI(_OpenAI):
    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"llm": ChatOpenAI(model=MODEL, stream_usage=True), **PROMPT}
