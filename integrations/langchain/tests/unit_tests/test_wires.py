"""The gateway says and hears the same on OpenAI's wire and on Anthropic's."""

import base64
from collections.abc import Mapping
from typing import Any, TypedDict

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from pydantic import BaseModel

from langchain_promptwire import ChatPromptwireGateway
from promptwire.errors import ConfigurationError, GatewayError
from promptwire.testing import FakeOpenAI
from tests.doubles.anthropic import FakeAnthropic

CLAUDE = "claude-haiku-4-5"
PIXEL = base64.b64encode(b"pixel").decode()
PDF = base64.b64encode(b"%PDF").decode()


@tool
def weather(city: str) -> str:
    """The weather."""
    return city


@tool
def auto(city: str) -> str:
    """A tool with the name of a mode."""
    return city


class Joke(BaseModel):
    """A joke."""

    setup: str


class JokeDict(TypedDict):
    """A joke."""

    setup: str


class Host:
    """A gateway on one wire, and what arrives there."""

    def __init__(self, name: str, server: FakeOpenAI | FakeAnthropic) -> None:
        self.name, self.server = name, server

    def model(self, **given: Any) -> ChatPromptwireGateway:
        return ChatPromptwireGateway(model="gpt-4o" if self.name == "openai" else f"anthropic/{CLAUDE}", **given)

    @property
    def body(self) -> Mapping[str, Any]:
        body: Mapping[str, Any] = self.server.requests[-1].json
        return body


@pytest.fixture(params=["openai", "anthropic"])
def host(request: pytest.FixtureRequest, openai: FakeOpenAI, anthropic: FakeAnthropic) -> Host:
    return Host(request.param, openai if request.param == "openai" else anthropic)


NAMED = {
    "openai": {"type": "function", "function": {"name": "weather"}},
    "anthropic": {"type": "tool", "name": "weather"},
}
FORCED = {"openai": "required", "anthropic": {"type": "any"}}
FREE = {"openai": "auto", "anthropic": {"type": "auto"}}
NEVER = {"openai": "none", "anthropic": {"type": "none"}}


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        ("weather", NAMED), ({"type": "tool", "name": "weather"}, NAMED), (NAMED["openai"], NAMED),
        ("any", FORCED), ("required", FORCED), (True, FORCED), ({"type": "any"}, FORCED),
        ("auto", FREE), ({"type": "auto"}, FREE), ("none", NEVER), ({"type": "none"}, NEVER),
        (None, None), (False, None),
    ],
)  # fmt: skip
def test_every_form_of_tool_choice(choice: Any, sent: Any, host: Host) -> None:
    answer = host.model().bind_tools([weather], tool_choice=choice).invoke("weather")
    assert host.body.get("tool_choice") == (sent and sent[host.name])
    assert bool(answer.tool_calls) == (sent is not NEVER)


def test_a_tool_goes_before_a_mode_of_its_name(host: Host) -> None:
    answer = host.model().bind_tools([weather, auto], tool_choice="auto").invoke("Hi")
    assert [call["name"] for call in answer.tool_calls] == ["auto"]


def test_one_call_at_a_time(host: Host) -> None:
    choices: list[dict[str, Any]] = [
        {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
        {"parallel_tool_calls": False},
    ]
    for given in choices:
        answer = host.model().bind_tools([weather, auto], **given).invoke("weather auto")
        assert len(answer.tool_calls) == 1
    assert len(host.model().bind_tools([weather, auto]).invoke("weather auto").tool_calls) == 2


def test_tools_in_every_form(host: Host) -> None:
    native = {"name": "native", "input_schema": {"type": "object"}, "cache_control": {"type": "ephemeral"}}

    def function(city: str) -> str:
        """A function."""
        return city

    host.model().bind_tools([weather, function, Joke, native]).invoke("Hi")
    tools = host.body["tools"]
    if host.name == "openai":
        assert [one["function"]["name"] for one in tools] == ["weather", "function", "Joke", "native"]
        assert all(one.keys() == {"type", "function"} for one in tools)
    else:
        assert [one["name"] for one in tools] == ["weather", "function", "Joke", "native"]
        assert [one.get("cache_control") for one in tools] == [None, None, None, {"type": "ephemeral"}]


def test_a_providers_own_tool_is_sent_as_it_is(anthropic: FakeAnthropic) -> None:
    search = {"type": "web_search_20250305", "name": "web_search"}
    Host("anthropic", anthropic).model().bind_tools([search]).invoke("Hi")
    assert anthropic.requests[-1].json["tools"] == [search]


@pytest.mark.parametrize("schema", [Joke, JokeDict, Joke.model_json_schema()])
@pytest.mark.parametrize("method", ["function_calling", "json_schema", "json_mode"])
async def test_structured_output_by_every_method(method: str, schema: Any, host: Host) -> None:
    asked = host.model().with_structured_output(schema, method=method)
    text = "A joke as JSON with the key 'setup'"
    expected = Joke(setup="text") if schema is Joke else {"setup": "text"}
    said = asked.invoke(text)
    # Where the schema can be read, a word in quotation marks is what the double fills in.
    expected = expected if method == "json_mode" else (Joke(setup="setup") if schema is Joke else {"setup": "setup"})
    assert said == expected == await asked.ainvoke(text) == [*asked.stream(text)][-1]
    raw = host.model().with_structured_output(schema, method=method, include_raw=True).invoke(text)
    assert (raw["parsed"], raw["parsing_error"]) == (expected, None)
    assert isinstance(raw["raw"], AIMessage)


def test_an_answer_out_of_shape_is_told_beside_the_raw_one(host: Host) -> None:
    asked = host.model().with_structured_output(Joke, method="json_mode", include_raw=True)
    told = asked.invoke("JSON")
    assert told["parsed"] is None
    assert told["parsing_error"] is not None


def test_a_strict_schema(host: Host) -> None:
    host.model().bind_tools([Joke], strict=True).invoke("Hi")
    (sent,) = host.body["tools"]
    assert sent["function"]["strict"] if host.name == "openai" else sent["strict"]


IMAGES: list[dict[str, Any]] = [
    {"type": "image", "base64": PIXEL, "mime_type": "image/png"},
    {"type": "image", "source_type": "base64", "data": PIXEL, "mime_type": "image/png"},
    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}},
]
LINKS: list[dict[str, Any]] = [
    {"type": "image", "url": "https://example.com/a.png"},
    {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
    {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
]
FILES: list[dict[str, Any]] = [
    {"type": "file", "base64": PDF, "mime_type": "application/pdf", "extras": {"filename": "a.pdf"}},
    {"type": "file", "source_type": "base64", "data": PDF, "mime_type": "application/pdf", "filename": "a.pdf"},
    {"type": "file", "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PDF}"}},
    {
        "type": "document", "title": "a.pdf",
        "source": {"type": "base64", "media_type": "application/pdf", "data": PDF},
    },
]  # fmt: skip


def content_of(host: Host, *blocks: dict[str, Any]) -> Any:
    host.model().invoke([HumanMessage([{"type": "text", "text": "Look"}, *blocks])])
    return host.body["messages"][-1]["content"][1:]


def test_pictures_and_papers_in_every_form(host: Host) -> None:
    pictures = content_of(host, *IMAGES)
    links = content_of(host, *LINKS)
    papers = content_of(host, *FILES)
    if host.name == "openai":
        assert pictures == [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}] * 4
        assert links == [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}] * 3
        file = {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PDF}"}
        assert papers == [{"type": "file", "file": file}] * 4
    else:
        source = {"type": "base64", "media_type": "image/png", "data": PIXEL}
        assert pictures == [{"type": "image", "source": source}] * 4
        assert links == [{"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}] * 3
        source = {"type": "base64", "media_type": "application/pdf", "data": PDF}
        assert papers == [{"type": "document", "source": source, "title": "a.pdf"}] * 4


def test_a_paper_without_a_name_gets_one(host: Host) -> None:
    (part,) = content_of(host, {"type": "file", "base64": PDF, "mime_type": "application/pdf"})
    assert (part["file"]["filename"] if host.name == "openai" else part["title"]) == "file.pdf"


def test_a_papers_address_is_anthropics_alone(anthropic: FakeAnthropic, openai: FakeOpenAI) -> None:
    block = {"type": "file", "url": "https://example.com/a.pdf", "mime_type": "application/pdf", "filename": "a"}
    (part,) = content_of(Host("anthropic", anthropic), block)
    assert part["source"] == {"type": "url", "url": "https://example.com/a.pdf"}


def test_sound_is_openais_alone(openai: FakeOpenAI, anthropic: FakeAnthropic) -> None:
    block = {"type": "audio", "base64": PIXEL, "mime_type": "audio/wav"}
    assert content_of(Host("openai", openai), block) == [
        {"type": "input_audio", "input_audio": {"data": PIXEL, "format": "wav"}}
    ]
    with pytest.raises(ConfigurationError, match="input_audio"):
        content_of(Host("anthropic", anthropic), block)
    assert anthropic.count == 0


def step(*results: ToolMessage) -> list[BaseMessage]:
    ids = [result.tool_call_id for result in results]
    calls = [{"name": "weather", "args": {"city": one}, "id": one, "type": "tool_call"} for one in ids]
    return [HumanMessage("Hi"), AIMessage("", tool_calls=calls), *results]


def test_a_tool_that_failed(host: Host) -> None:
    failed = ToolMessage("no such city", tool_call_id="a", status="error")
    host.model().bind_tools([weather]).invoke(step(failed, ToolMessage("sun", tool_call_id="b")))
    sent = host.body["messages"]
    if host.name == "openai":
        assert sent[2:] == [
            {"role": "tool", "tool_call_id": "a", "content": "no such city"},
            {"role": "tool", "tool_call_id": "b", "content": "sun"},
        ]
    else:
        assert sent[2]["content"] == [
            {"type": "tool_result", "tool_use_id": "a", "content": "no such city", "is_error": True},
            {"type": "tool_result", "tool_use_id": "b", "content": "sun"},
        ]


def test_results_in_anthropics_form(host: Host) -> None:
    said = AIMessage([{"type": "tool_use", "id": "a", "name": "weather", "input": {"city": "Rome"}}])
    result = {"type": "tool_result", "tool_use_id": "a", "content": [{"type": "text", "text": "sun"}], "is_error": True}
    after = HumanMessage([result, {"type": "text", "text": "So?"}])
    host.model().bind_tools([weather]).invoke([HumanMessage("Hi"), said, after])
    sent = host.body["messages"][2:]
    if host.name == "openai":
        text = [{"type": "text", "text": "sun"}]
        assert sent == [
            {"role": "tool", "tool_call_id": "a", "content": text},
            {"role": "user", "content": [{"type": "text", "text": "So?"}]},
        ]
    else:
        results, text = sent[0]["content"]
        assert (results["is_error"], text) == (True, {"type": "text", "text": "So?"})


def test_what_is_to_be_cached_stays_marked(host: Host) -> None:
    marked: Any = {"type": "text", "text": "Long", "cache_control": {"type": "ephemeral"}}
    extra: Any = {"type": "text", "text": "Too", "extras": {"cache_control": {"type": "ephemeral"}}}
    host.model().invoke([SystemMessage([marked]), HumanMessage([marked, extra])])
    plain = [{"type": "text", "text": "Long"}, {"type": "text", "text": "Too"}]
    if host.name == "openai":
        assert [message["content"] for message in host.body["messages"]] == [plain[:1], plain]
    else:
        cached = [{**part, "cache_control": {"type": "ephemeral"}} for part in plain]
        assert (host.body["system"], host.body["messages"][0]["content"]) == (cached[:1], cached)


async def test_parallel_calls_stream_in_pieces_with_their_index(host: Host) -> None:
    model = host.model().bind_tools([weather, auto])
    chunks: list[Any] = [chunk async for chunk in model.astream("weather auto")]
    pieces = [piece for chunk in chunks for piece in chunk.tool_call_chunks]
    indexes = [piece["index"] for piece in pieces]
    assert indexes == sorted(indexes)
    assert len(set(indexes)) == 2
    assert len(pieces) > 2
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole = whole + chunk
    assert [call["name"] for call in whole.tool_calls] == ["weather", "auto"]
    assert [call["args"] for call in whole.tool_calls] == [{"city": "text"}] * 2
    assert [call["name"] for call in model.invoke("weather auto").tool_calls] == ["weather", "auto"]


async def test_a_stream_counts_once(host: Host) -> None:
    whole = host.model().invoke("Hi there")
    chunks = [chunk async for chunk in host.model().astream("Hi there")]
    counted = [chunk.usage_metadata for chunk in chunks if chunk.usage_metadata]
    assert counted == [whole.usage_metadata]
    told = [chunk.response_metadata for chunk in chunks if "finish_reason" in chunk.response_metadata]
    assert len(told) == 1
    assert told[0]["model_name"] == whole.response_metadata["model_name"]


async def test_refusals_are_told_with_their_status(ask: Any, host: Host) -> None:
    host.server.fail(404)
    with pytest.raises(GatewayError) as caught:
        await ask(host.model(), "Hi")
    assert caught.value.status_code == 404


def test_content_that_no_wire_carries(host: Host) -> None:
    odd: list[Any] = [
        {"type": "image"}, {"type": "text"}, {"type": "document", "source": {"type": "content"}},
        {"type": "tool_result"}, {"type": "tool_use"},
    ]  # fmt: skip
    for block in odd:
        with pytest.raises(ConfigurationError, match=r"human message|content part"):
            host.model().invoke([HumanMessage([block])])
    assert host.server.count == 0


def test_a_hosts_own_part_is_left_to_it(host: Host) -> None:
    refusal = GatewayError if host.name == "openai" else ConfigurationError
    with pytest.raises(refusal, match=r"400|hologram"):
        host.model().invoke([HumanMessage([{"type": "hologram"}])])
