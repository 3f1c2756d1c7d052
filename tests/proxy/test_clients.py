"""Real clients, none of them ours."""

import asyncio
import json
import shutil
import subprocess
from collections.abc import AsyncIterator
from typing import Any

import httpx
import openai
import pytest
from langchain_core.messages import HumanMessage
from langchain_openai import ChatOpenAI
from llama_index.core.llms import ChatMessage
from llama_index.llms.openai_like import OpenAILike  # type: ignore[import-untyped]
from pydantic import BaseModel

from promptwire.testing import FakeLangfuse, FakeOpenAI
from tests.proxy.conftest import Running, Start, entry

IGNORED: Any = [{"role": "user", "content": "this is a test request, write a short poem"}]
PROMPT: dict[str, Any] = {"prompt_id": "greeting", "prompt_variables": {"name": "Ann"}}
TOOL: Any = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}
ANSWER = "[gpt-4o-mini] Hello Ann"


class Client:
    """OpenAI's SDK in one colour."""

    def __init__(self, colour: str, url: str) -> None:
        self._options: dict[str, Any] = {"api_key": "anything", "base_url": url, "max_retries": 0}
        self._is_async = colour == "async"

    def call(self, method: str = "create", **body: Any) -> Any:
        body = {"model": "clerk", "messages": IGNORED, **body}
        if not self._is_async:
            with openai.OpenAI(**self._options) as client:
                made = getattr(client.chat.completions, method)(**body)
                return list(made) if body.get("stream") else made
        return asyncio.run(self._acall(method, body))

    async def _acall(self, method: str, body: dict[str, Any]) -> Any:
        async with openai.AsyncOpenAI(**self._options) as client:
            made = await getattr(client.chat.completions, method)(**body)
            return [chunk async for chunk in made] if body.get("stream") else made


@pytest.fixture(params=["sync", "async"])
def client(request: pytest.FixtureRequest, proxy: Running) -> Client:
    return Client(request.param, f"{proxy.url}/v1")


class TestTheOpenAIPackage:
    def test_a_managed_prompt(self, client: Client) -> None:
        answer = client.call(extra_body=PROMPT)
        assert answer.choices[0].message.content == ANSWER
        assert answer._request_id == "req_1"  # noqa: SLF001 - the SDK's public name begins like that

    def test_a_stream(self, client: Client) -> None:
        chunks = client.call(extra_body=PROMPT, stream=True)
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == ANSWER
        assert chunks[-1].choices[0].finish_reason == "stop"

    def test_a_stream_with_its_usage(self, client: Client) -> None:
        chunks = client.call(extra_body=PROMPT, stream=True, stream_options={"include_usage": True})
        assert chunks[-1].usage.total_tokens > 0

    def test_tools(self, client: Client, langfuse: FakeLangfuse) -> None:
        langfuse.publish("ask", "The weather in 'Paris'")
        answer = client.call(extra_body={"prompt_id": "ask"}, tools=[TOOL])
        call = answer.choices[0].message.tool_calls[0]
        assert call.function.name == "weather"
        step = [answer.choices[0].message, {"role": "tool", "tool_call_id": call.id, "content": "sunny"}]
        final = client.call(extra_body={"prompt_id": "ask"}, messages=[*IGNORED, *step], tools=[TOOL])
        assert "sunny" in final.choices[0].message.content

    def test_structured_output(self, client: Client) -> None:
        class City(BaseModel):
            name: str
            inhabitants: int

        answer = client.call("parse", extra_body=PROMPT, response_format=City)
        assert isinstance(answer.choices[0].message.parsed, City)

    @pytest.mark.parametrize(
        ("body", "kind", "code", "param"),
        [
            ({"model": "nix"}, openai.NotFoundError, "model_not_found", "model"),
            ({"extra_body": {"prompt_id": "nix"}}, openai.NotFoundError, "prompt_not_found", "prompt_id"),
            (
                {"extra_body": {"prompt_id": "greeting"}},
                openai.BadRequestError, "missing_prompt_variable", "prompt_variables.name",
            ),
            ({"extra_body": {"api_base": "http://x"}}, openai.BadRequestError, "invalid_request", "api_base"),
        ],
    )  # fmt: skip
    def test_errors(
        self, client: Client, body: dict[str, Any], kind: type[openai.APIStatusError], code: str, param: str
    ) -> None:
        with pytest.raises(kind) as caught:
            client.call(**body)
        assert (caught.value.code, caught.value.param) == (code, param)

    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            (400, openai.BadRequestError), (401, openai.AuthenticationError), (403, openai.PermissionDeniedError),
            (404, openai.NotFoundError), (409, openai.ConflictError), (422, openai.UnprocessableEntityError),
            (429, openai.RateLimitError), (500, openai.InternalServerError), (503, openai.InternalServerError),
        ],
    )  # fmt: skip
    def test_the_providers_refusals_are_kept(
        self, client: Client, openai: FakeOpenAI, status: int, kind: type[Exception]
    ) -> None:
        openai.fail(status, retry_after=7)
        with pytest.raises(kind, match=f"Fake failure {status}") as caught:
            client.call(extra_body=PROMPT)
        response = caught.value.response  # type: ignore[attr-defined]
        assert (response.status_code, response.headers["retry-after"]) == (status, "7")
        assert response.json() == openai.error_body(status)
        assert openai.count == 1

    def test_a_stream_that_breaks_off(self, client: Client, openai: FakeOpenAI) -> None:
        openai.drop(after=3)
        with pytest.raises(Exception, match="broke off") as caught:
            client.call(extra_body=PROMPT, stream=True)
        assert type(caught.value).__name__ == "APIError"

    def test_the_models(self, proxy: Running) -> None:
        with openai.OpenAI(api_key="x", base_url=f"{proxy.url}/v1") as client:
            assert [model.id for model in client.models.list()] == ["clerk", "plain"]


def test_the_key_is_the_sdks_error_class(start: Start) -> None:
    url = start(master_key="sk-right").url
    with openai.OpenAI(api_key="sk-wrong", base_url=url) as client, pytest.raises(openai.AuthenticationError) as caught:
        client.models.list()
    assert caught.value.code == "invalid_api_key"
    with openai.OpenAI(api_key="sk-right", base_url=url) as client:
        assert client.chat.completions.create(model="plain", messages=IGNORED).choices


class TestLiteLLMsOwnExamples:
    """The requests of its prompt management page, against the config that the page gives."""

    @pytest.fixture
    def seed(self, start: Start, langfuse: FakeLangfuse) -> Running:
        langfuse.publish("jaffa", "You were told: {{key}}")
        return start(
            entry("my-langfuse-model", "langfuse/openai/gpt-3.5-turbo", prompt_id="jaffa", api_key="sk-test-key"),
            entry("gpt-3.5-turbo", "langfuse/gpt-3.5-turbo", prompt_id="jaffa", api_key="os.environ/OPENAI_API_KEY"),
        )

    def test_curl(self, seed: Running) -> None:
        curl = shutil.which("curl")
        if curl is None:
            pytest.skip("curl is not installed")
        body = (
            '{"model": "my-langfuse-model", "messages": [{"role": "user", "content": "THIS WILL BE IGNORED"}],'
            ' "prompt_variables": {"key": "this is used"}}'
        )
        url = f"http://0.0.0.0:{seed.server.port}/v1/chat/completions"
        headers = ["-H", "Content-Type: application/json", "-H", "Authorization: Bearer sk-1234"]
        command = [curl, "--noproxy", "*", "-s", "-L", "-X", "POST", url, *headers, "-d", body]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        message = json.loads(done.stdout)["choices"][0]["message"]
        assert message["content"] == "[gpt-3.5-turbo] You were told: this is used"

    def test_the_openai_package(self, seed: Running) -> None:
        with openai.OpenAI(api_key="anything", base_url=seed.url) as client:
            answer = client.chat.completions.create(
                model="gpt-3.5-turbo",
                messages=IGNORED,
                extra_body={"prompt_id": "jaffa", "prompt_variables": {"key": "this is used"}},
            )
        assert answer.choices[0].message.content == "[gpt-3.5-turbo] You were told: this is used"


class TestLangChain:
    @pytest.fixture
    def llm(self, proxy: Running) -> ChatOpenAI:
        return ChatOpenAI(model="clerk", base_url=f"{proxy.url}/v1", api_key="x", extra_body=PROMPT, max_retries=0)  # type: ignore[arg-type]

    async def test_invoke_in_both_colours(self, llm: ChatOpenAI) -> None:
        assert llm.invoke("ignored").content == ANSWER
        assert (await llm.ainvoke([HumanMessage("ignored")])).content == ANSWER

    async def test_streams_in_both_colours(self, llm: ChatOpenAI) -> None:
        assert "".join(str(chunk.content) for chunk in llm.stream("ignored")) == ANSWER
        assert "".join([str(chunk.content) async for chunk in llm.astream("ignored")]) == ANSWER

    def test_tools(self, llm: ChatOpenAI, langfuse: FakeLangfuse) -> None:
        langfuse.publish("ask", "The weather in 'Paris'")
        answer = llm.bind_tools([TOOL]).invoke("ignored", extra_body={"prompt_id": "ask"})
        assert answer.tool_calls[0]["name"] == "weather"


class TestLlamaIndex:
    @pytest.fixture
    async def llm(self, proxy: Running) -> AsyncIterator[OpenAILike]:
        async with httpx.AsyncClient() as http:  # its own is never closed
            yield OpenAILike(
                model="clerk", api_base=f"{proxy.url}/v1", api_key="x", is_chat_model=True, max_retries=0,
                additional_kwargs={"extra_body": PROMPT}, async_http_client=http,
            )  # fmt: skip

    async def test_complete_and_chat_in_both_colours(self, llm: OpenAILike) -> None:
        messages = [ChatMessage("ignored")]
        assert llm.complete("ignored").text == (await llm.acomplete("ignored")).text == ANSWER
        assert llm.chat(messages).message.content == (await llm.achat(messages)).message.content == ANSWER

    async def test_streams_in_both_colours(self, llm: OpenAILike) -> None:
        assert "".join(part.delta or "" for part in llm.stream_complete("ignored")) == ANSWER
        stream = await llm.astream_complete("ignored")
        assert "".join([part.delta or "" async for part in stream]) == ANSWER
