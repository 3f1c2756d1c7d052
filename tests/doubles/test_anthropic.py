"""The fake Anthropic, driven by the official client."""

import base64
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx
import pytest

from promptwire.testing.wire import Json
from tests.doubles.anthropic import FakeAnthropic
from tests.doubles.anthropic_model import Said, thought

MODEL = "claude-sonnet-5-5"
EARLY = "claude-haiku-4-5"
USER: Json = {"role": "user", "content": "say hello to Ada"}
PIXEL = base64.b64encode(b"pixel").decode()
ADD: Json = {
    "name": "add",
    "input_schema": {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
}
NOW: Json = {"name": "now", "input_schema": {"type": "object"}}
THINK: Json = {"type": "enabled", "budget_tokens": 1024}


@pytest.fixture
def server() -> Iterator[FakeAnthropic]:
    with FakeAnthropic() as server:
        yield server


@pytest.fixture
def client(server: FakeAnthropic) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(api_key=server.api_key, base_url=server.url, max_retries=0) as client:
        yield client


def ask(client: anthropic.Anthropic, *messages: Json, **options: Json) -> Any:
    given = {"model": MODEL, "max_tokens": 100, "messages": list(messages or (USER,)), **options}
    return client.messages.create(**given)


def used(*calls: tuple[str, str], **extra: Json) -> Json:
    blocks = [{"type": "tool_use", "id": name, "name": tool, "input": {}, **extra} for name, tool in calls]
    return {"role": "assistant", "content": blocks}


def result(*ids: str) -> Json:
    return {"role": "user", "content": [{"type": "tool_result", "tool_use_id": one, "content": one} for one in ids]}


def test_echoes_the_last_user_text(client: anthropic.Anthropic) -> None:
    answer = ask(client, USER, system="Be kind.")
    assert [block.text for block in answer.content] == [f"[{MODEL}] say hello to Ada"]
    assert (answer.stop_reason, answer.usage.input_tokens, answer.usage.output_tokens) == ("end_turn", 5, 5)


async def test_answers_the_async_client_and_its_streams(server: FakeAnthropic) -> None:
    async with anthropic.AsyncAnthropic(api_key=server.api_key, base_url=server.url, max_retries=0) as client:
        whole = await client.messages.create(model=MODEL, max_tokens=100, messages=[USER])
        async with client.messages.stream(model=MODEL, max_tokens=100, messages=[USER]) as events:
            streamed = await events.get_final_message()
    assert streamed.content[0].model_dump()["text"] == whole.content[0].model_dump()["text"]


def test_streams_every_kind_of_block(client: anthropic.Anthropic) -> None:
    ask_for: Json = {"model": EARLY, "max_tokens": 4000, "tools": [ADD, NOW], "thinking": THINK}
    add_now: Json = {"role": "user", "content": "add 2 now"}
    whole = ask(client, add_now, **ask_for)
    with client.messages.stream(messages=[add_now], **ask_for) as events:
        streamed = events.get_final_message()
    assert [block.type for block in streamed.content] == ["thinking", "tool_use", "tool_use"]
    assert [one.model_dump() for one in streamed.content] == [one.model_dump() for one in whole.content]
    assert (streamed.stop_reason, streamed.usage.output_tokens) == ("tool_use", whole.usage.output_tokens)
    kinds = [event.type for event in ask(client, stream=True)]
    assert (kinds[0], kinds[-1]) == ("message_start", "message_stop")


def test_stops_where_it_is_told(client: anthropic.Anthropic) -> None:
    stopped = ask(client, stop_sequences=["hello"])
    assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", "hello")
    cut = ask(client, max_tokens=2)
    assert (cut.content[0].text, cut.stop_reason) == (f"[{MODEL}] say", "max_tokens")


def test_which_tools_it_calls(client: anthropic.Anthropic) -> None:
    def called(text: str, **options: Json) -> list[str]:
        answer = ask(client, {"role": "user", "content": text}, tools=[ADD, NOW], **options)
        return [block.name for block in answer.content if block.type == "tool_use"]

    assert called("add 2 now") == ["add", "now"]
    assert called("hello") == []
    assert called("hello", tool_choice={"type": "any"}) == ["now"]
    assert called("now", tool_choice={"type": "tool", "name": "add"}) == ["add"]
    assert called("add 2 now", tool_choice={"type": "none"}) == []
    assert called("add 2 now", tool_choice={"type": "auto", "disable_parallel_tool_use": True}) == ["add"]


def test_after_tool_results_it_speaks(client: anthropic.Anthropic) -> None:
    answer = ask(client, USER, used(("t1", "add")), result("t1"), tools=[ADD])
    assert answer.content[0].text == f"[{MODEL}] t1"


def test_neighbours_of_one_role_are_one_turn(client: anthropic.Anthropic) -> None:
    answer = ask(client, USER, {"role": "user", "content": " twice"})
    assert answer.content[0].text == f"[{MODEL}] say hello to Ada twice"
    split = [*result("t1")["content"]]
    asked = ask(client, USER, used(("t1", "add")), {"role": "user", "content": split}, USER, tools=[ADD])
    assert asked.content[0].text == f"[{MODEL}] t1 say hello to Ada"


def test_thinks_as_it_is_asked(client: anthropic.Anthropic) -> None:
    omitted = ask(client, thinking={"type": "adaptive"}).content
    assert (omitted[0].thinking, bool(omitted[0].signature)) == ("", True)
    shown = ask(client, thinking={"type": "adaptive", "display": "summarized"}).content
    assert shown[0].thinking == "They say: say hello to Ada"


def test_fills_the_schema(client: anthropic.Anthropic) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    form = {"format": {"type": "json_schema", "schema": {**schema, "additionalProperties": False}}}
    assert ask(client, {"role": "user", "content": "7 of them"}, output_config=form).content[0].text == '{"n": 7}'


def test_counts_what_is_cached(client: anthropic.Anthropic) -> None:
    system = [{"type": "text", "text": "Long.", "cache_control": {"type": "ephemeral"}}]
    counts = [ask(client, system=system).usage for _ in range(2)]
    assert [(one.cache_creation_input_tokens, one.cache_read_input_tokens) for one in counts] == [(10, 0), (0, 10)]


def test_scripts() -> None:
    replies: Json = ["one", [{"type": "tool_use", "id": "t1", "name": "add", "input": {}}], Said([], "refusal")]
    with FakeAnthropic(reply=replies) as server:
        with anthropic.Anthropic(api_key=server.api_key, base_url=server.url) as client:
            reasons = [ask(client).stop_reason for _ in range(4)]
        assert reasons == ["end_turn", "tool_use", "refusal", "refusal"]
    with (
        FakeAnthropic(reply=lambda request: request["messages"][0]["content"].upper()) as server,
        anthropic.Anthropic(api_key=server.api_key, base_url=server.url) as client,
    ):
        assert ask(client).content[0].text == "SAY HELLO TO ADA"


def test_env_is_a_clients_whole_configuration(server: FakeAnthropic, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in server.env.items():
        monkeypatch.setenv(name, value)
    with anthropic.Anthropic() as client:
        assert ask(client).role == "assistant"


def test_keys_versions_and_addresses(server: FakeAnthropic) -> None:
    body = {"model": EARLY, "max_tokens": 9, "messages": [USER], "temperature": 0.5}
    headers = {"x-api-key": server.api_key, "anthropic-version": "2023-06-01"}

    def post(path: str = "/v1/messages", data: bytes | None = None, **changed: str | None) -> tuple[int, str]:
        named = {key.replace("_", "-"): value for key, value in changed.items()}
        sent = {key: value for key, value in {**headers, **named}.items() if value is not None}
        content: Json = {"json": body} if data is None else {"content": data}
        answer = httpx.post(f"{server.url}{path}", headers=sent, **content)
        return answer.status_code, answer.json().get("error", {}).get("message", "")

    assert post() == (200, "")
    assert post(anthropic_version="2026-10-21") == (400, _any_of("temperature: Extra inputs are not permitted"))
    assert post(anthropic_version=None)[0] == 400
    assert post(content_type="text/plain") == (400, "content-type: must be application/json")
    assert post(data=b"{", content_type="application/json") == (400, "The request body is not valid JSON.")
    assert post(data=b"[]", content_type="application/json") == (400, "Input should be a valid dictionary")
    assert post(x_api_key="sk-other") == (401, "invalid x-api-key")
    assert post(x_api_key=None) == (401, "x-api-key header is required")
    assert post("/v1/complete")[0] == 404


class _any_of(str):  # noqa: N801 - reads as a word of the assertion
    """Equal to a text that ends in it."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and other.endswith(str(self))


REFUSED: list[tuple[str, Json]] = [
    ("at least one message", {"messages": []}),
    ("first message must use", {"messages": [{"role": "assistant", "content": "Hi"}, USER]}),
    ("Unexpected role 'system'", {"messages": [USER, {"role": "system", "content": "Be kind."}]}),
    ("non-empty content", {"messages": [{"role": "user", "content": []}]}),
    ("non-whitespace", {"messages": [{"role": "user", "content": " "}]}),
    ("non-whitespace", {"system": [{"type": "text", "text": ""}]}),
    ("does not support assistant message prefill", {"messages": [USER, {"role": "assistant", "content": "So"}]}),
    ("trailing whitespace", {"model": EARLY, "messages": [USER, {"role": "assistant", "content": "So "}]}),
    ("cannot be `thinking`", {"model": EARLY, "messages": [USER, {"role": "assistant", "content": [thought("hm")]}]}),
    ("were found without", {"messages": [USER, used(("t1", "add")), USER], "tools": [ADD]}),
    ("were found without", {"model": EARLY, "messages": [USER, used(("t1", "add"))], "tools": [ADD]}),
    (
        "were found without",
        {
            "messages": [
                USER,
                used(("t1", "add")),
                {"role": "user", "content": [{"type": "text", "text": "So?"}, *result("t1")["content"]]},
            ],
            "tools": [ADD],
        },
    ),
    ("unexpected `tool_use_id`", {"messages": [result("t1")], "tools": [ADD]}),
    ("ids must be unique", {"messages": [USER, used(("t1", "add"), ("t1", "add")), result("t1")], "tools": [ADD]}),
    (
        "ids must be unique",
        {"messages": [USER, *[used(("t1", "add")), result("t1")] * 2], "tools": [ADD]},
    ),
    ("tool_use.id", {"messages": [USER, used(("t.1", "add")), result("t.1")], "tools": [ADD]}),
    ("must define tools", {"messages": [USER, used(("t1", "add")), result("t1")]}),
    ("not found in provided tools", {"tools": [ADD], "tool_choice": {"type": "tool", "name": "now"}}),
    ("only be specified while", {"tool_choice": {"type": "any"}}),
    ("names must be unique", {"tools": [ADD, ADD]}),
    ("custom.name", {"tools": [{**ADD, "name": "a b"}]}),
    ("input_schema.type", {"tools": [{**ADD, "input_schema": {}}]}),
    ("must be explicitly set to false", {"tools": [{**ADD, "strict": True}]}),
    ("HTTP", {"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "x"}}]}]}),
    (
        "base64",
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "?"}}
                    ],
                }
            ]
        },
    ),
    (
        "image/webp",
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "image", "source": {"type": "base64", "media_type": "image/bmp", "data": PIXEL}}
                    ],
                }
            ]
        },
    ),
    ("Extra inputs", {"messages": [{"role": "user", "content": [{"type": "text", "text": "a", "b": 1}]}]}),
    ("Extra inputs", {"extra_body": {"frequency_penalty": 1}}),
    ("valid integer", {"max_tokens": "many"}),
    (
        "property 'minimum' is not supported",
        {
            "output_config": {
                "format": {"type": "json_schema", "schema": {"anyOf": [{"type": "integer", "minimum": 1}]}}
            }
        },
    ),
    (
        "explicitly set to false",
        {
            "output_config": {
                "format": {
                    "type": "json_schema",
                    "schema": {"$defs": {"a": {"type": "array", "items": {"type": "object"}}}},
                }
            }
        },
    ),
    ("range", {"model": EARLY, "extra_body": {"temperature": 2}}),
    ("deprecated for this model", {"extra_body": {"temperature": 1}}),
    ("not support the effort", {"model": EARLY, "output_config": {"effort": "low"}}),
    ("adaptive thinking is not supported", {"model": EARLY, "thinking": {"type": "adaptive"}}),
    ("not supported for this model", {"thinking": THINK, "max_tokens": 2000}),
    ("greater than or equal to 1024", {"model": EARLY, "thinking": {**THINK, "budget_tokens": 99}}),
    ("must be greater than `thinking", {"model": EARLY, "thinking": THINK, "max_tokens": 1024}),
    (
        "forces tool use",
        {"model": EARLY, "thinking": THINK, "max_tokens": 2000, "tools": [ADD], "tool_choice": {"type": "any"}},
    ),
    ("set to 1", {"model": EARLY, "thinking": THINK, "max_tokens": 2000, "extra_body": {"temperature": 0}}),
    ("0.95", {"model": EARLY, "thinking": THINK, "max_tokens": 2000, "extra_body": {"top_p": 0.5}}),
    (
        "Expected `thinking`",
        {
            "model": EARLY,
            "thinking": THINK,
            "max_tokens": 2000,
            "messages": [USER, used(("t1", "add")), result("t1")],
            "tools": [ADD],
        },
    ),
    (
        "Invalid `signature`",
        {
            "messages": [
                USER,
                {"role": "assistant", "content": [{**thought("a"), "thinking": "b"}, {"type": "text", "text": "c"}]},
                USER,
            ]
        },
    ),
]


@pytest.mark.parametrize(("message", "options"), REFUSED)
def test_refuses_what_the_api_refuses(server: FakeAnthropic, message: str, options: Json) -> None:
    sent = {"max_tokens": 100, "model": MODEL, "messages": [USER], **options}
    sent |= sent.pop("extra_body", {})
    version = "2023-06-01"
    answer = httpx.post(
        f"{server.url}/v1/messages", json=sent, headers={"x-api-key": server.api_key, "anthropic-version": version}
    )
    assert answer.status_code == 400
    body = answer.json()
    assert (body["type"], body["error"]["type"]) == ("error", "invalid_request_error")
    assert message in body["error"]["message"]


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, anthropic.AuthenticationError),
        (429, anthropic.RateLimitError),
        (500, anthropic.InternalServerError),
    ],
)
def test_failures_are_the_clients_errors(
    server: FakeAnthropic, client: anthropic.Anthropic, status: int, error: type[anthropic.APIStatusError]
) -> None:
    server.fail(status, times=1)
    with pytest.raises(error, match=f"Fake failure {status}"):
        ask(client)
    assert ask(client).role == "assistant"


def test_it_may_be_overloaded(server: FakeAnthropic, client: anthropic.Anthropic) -> None:
    server.overload(times=1)
    with pytest.raises(anthropic.OverloadedError, match="overloaded_error"):
        ask(client)
    assert ask(client).role == "assistant"


def test_streams_may_break_off(server: FakeAnthropic, client: anthropic.Anthropic) -> None:
    server.fail_stream(times=1)
    with pytest.raises(anthropic.APIStatusError, match="overloaded_error"):
        list(ask(client, stream=True))
    server.drop(3, times=1)
    with pytest.raises(Exception, match="incomplete chunked read"):
        list(ask(client, stream=True))
