"""What Anthropic's wire makes of OpenAI's messages."""

import json
from typing import Any

import pytest

from promptwire.errors import ConfigurationError
from tests.doubles.anthropic_sent import EARLY, HI, MARK, assistant, result, sent


def test_system_texts_are_hoisted_in_their_order() -> None:
    body = sent(
        {"role": "system", "content": "One."},
        HI,
        {"role": "developer", "content": "Two."},
        {"role": "system", "content": " "},
    )
    assert (body["system"], body["messages"]) == ("One.\n\nTwo.", [HI])
    assert "system" not in sent({"role": "system", "content": ""}, HI)


def test_system_parts_stay_parts() -> None:
    parts = ({"type": "text", "text": "Two.", **MARK}, {"type": "text", "text": " "})
    body = sent({"role": "system", "content": "One."}, {"role": "system", "content": parts}, HI)
    assert body["system"] == [{"type": "text", "text": "One."}, {"type": "text", "text": "Two.", **MARK}]
    marked = sent({"role": "system", "content": "One.", **MARK}, HI)
    assert marked["system"] == [{"type": "text", "text": "One.", **MARK}]


def test_system_messages_alone_are_the_users_turn() -> None:
    body = sent({"role": "system", "content": "Say a word."}, {"role": "user", "content": ""})
    assert (body["messages"], "system" in body) == ([{"role": "user", "content": "Say a word."}], False)


def test_an_assistant_who_speaks_first_is_given_a_turn_to_follow() -> None:
    body = sent({"role": "assistant", "content": "Welcome!"}, HI)
    assert [message["content"] for message in body["messages"]] == [".", "Welcome!", "Hi"]


def test_turns_of_one_role_are_merged_and_empty_ones_left_out() -> None:
    body = sent(
        HI,
        {"role": "user", "content": [{"type": "text", "text": ""}, "Ada here"]},
        {"role": "assistant", "content": ""},
        {"role": "assistant", "content": "One"},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
        {"role": "assistant", "refusal": "Never."},
        {"role": "user", "content": None},
        {"role": "user", "content": "Bye", "name": "ada", **MARK},
    )
    texts = [{"type": "text", "text": text} for text in ("Hi", "Ada here", "One", "No.", "Never.")]
    assert body["messages"] == [
        {"role": "user", "content": texts[:2]},
        {"role": "assistant", "content": texts[2:]},
        {"role": "user", "content": [{"type": "text", "text": "Bye", **MARK}]},
    ]


def test_a_prefill_ends_in_no_blank() -> None:
    assert sent(HI, {"role": "assistant", "content": "{ \n"}, model=EARLY)["messages"][-1]["content"] == "{"


def test_results_come_before_the_rest_of_the_turn() -> None:
    picture = {"type": "image_url", "image_url": "https://example.com/a.png"}
    body = sent(
        HI,
        assistant("a", "b"),
        result("b", [picture]),
        {"role": "user", "content": "Well?"},
        result("a", "", is_error=True, **MARK),
    )
    assert body["messages"][2]["content"] == [
        {
            "type": "tool_result",
            "tool_use_id": "b",
            "content": [{"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}],
        },
        {"type": "tool_result", "tool_use_id": "a", "is_error": True, **MARK},
        {"type": "text", "text": "Well?"},
    ]
    assert body["tools"] == [{"name": "f", "input_schema": {"type": "object"}}]
    assert body["tool_choice"] == {"type": "none"}


def test_ids_that_the_api_refuses_are_others_and_still_match() -> None:
    body = sent(HI, assistant("f.0:1", ""), result("f.0:1"), result(""), assistant("f.0:1"), result("f.0:1"))
    blocks = [block for message in body["messages"][1:] for block in message["content"]]
    ids = [block.get("id") or block["tool_use_id"] for block in blocks]
    assert ids == ["f_0_1", "call", "f_0_1", "call", "f_0_1_2", "f_0_1_2"]


def test_calls_that_share_an_id_are_answered_in_their_order() -> None:
    turn = (assistant("", ""), result("", "first"), result("", "second"))
    body = sent(HI, *turn, *turn)
    blocks = [block for message in body["messages"][1:] for block in message["content"]]
    pairs = [(block.get("id") or block["tool_use_id"], block.get("content")) for block in blocks]
    first = [("call", None), ("call_2", None), ("call", "first"), ("call_2", "second")]
    assert pairs == [*first, ("call_3", None), ("call_4", None), ("call_3", "first"), ("call_4", "second")]


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ('{"a": 1}', {"a": 1}),
        ("", {}),
        (None, {}),
        ({"a": 1}, {"a": 1}),
        ('{"a": ', {"INVALID_JSON": '{"a": '}),
        ("[1]", {"INVALID_JSON": "[1]"}),
    ],
)
def test_arguments_are_objects(given: Any, made: dict[str, Any]) -> None:
    message = assistant("a")
    message["tool_calls"][0]["function"]["arguments"] = given
    assert sent(HI, message, result("a"))["messages"][1]["content"][0]["input"] == made


def test_thoughts_without_a_signature_are_left_out() -> None:
    unsigned = [{"type": "thinking", "thinking": "hm"}, {"type": "redacted_thinking", "data": "x"}]
    thinks = {"role": "assistant", "thinking_blocks": unsigned, "reasoning_content": "hm"}
    body = sent(HI, {**thinks, "content": "So."}, {**thinks, "content": ""}, HI)
    assert [block["type"] for block in body["messages"][1]["content"]] == ["redacted_thinking", "text"]


def test_anthropics_own_blocks_pass() -> None:
    source = {"type": "url", "url": "https://example.com/a.pdf"}
    blocks = [{"type": "document", "source": source, "title": "A"}, {"type": "image", "source": source}]
    assert sent({"role": "user", "content": blocks})["messages"][0]["content"] == blocks


@pytest.mark.parametrize(
    ("url", "source"),
    [
        ("data:image/jpg;base64,YQ==", {"type": "base64", "media_type": "image/jpeg", "data": "YQ=="}),
        ("data:image/gif,a%20b", {"type": "base64", "media_type": "image/gif", "data": "YSBi"}),
        ("https://example.com/a", {"type": "url", "url": "https://example.com/a"}),
    ],
)
def test_images(url: str, source: dict[str, Any]) -> None:
    body = sent({"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}, **MARK}]})
    assert body["messages"][0]["content"] == [{"type": "image", "source": source, **MARK}]


@pytest.mark.parametrize(
    ("file", "block"),
    [
        ({"file_id": "file_1"}, {"type": "document", "source": {"type": "file", "file_id": "file_1"}}),
        (
            {"file_data": "JVBERg==", "filename": "a.pdf"},
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERg=="},
                "title": "a.pdf",
            },
        ),
        (
            {"file_data": "data:image/png;base64,YQ=="},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "YQ=="}},
        ),
        (
            {"file_data": "data:text/csv;charset=utf-8,a%2Cb"},
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "a,b"}},
        ),
    ],
)
def test_files(file: dict[str, Any], block: dict[str, Any]) -> None:
    assert sent({"role": "user", "content": [{"type": "file", "file": file}]})["messages"][0]["content"] == [block]


NOT_MESSAGES: list[Any] = [
    "Hi",
    {"content": "Hi"},
    {"role": "user", "content": [{"type": "image_url"}]},
    {"role": "user", "content": [{"type": "text", "text": 1}]},
    {"role": "user", "content": 7},
    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,a"}}]},
    {"role": "user", "content": [{"type": "file", "file": {"file_data": "data:text/plain;base64,/w=="}}]},
    {"role": "assistant", "tool_calls": [{"id": "a"}]},
    {"role": "tool", "content": "1"},
    {"role": "system"},
]


@pytest.mark.parametrize("message", NOT_MESSAGES)
def test_what_is_no_message_is_named_by_its_place(message: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"messages\[1\] is not of the shape that OpenAI's API documents"):
        sent(HI, message)


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ({"role": "function", "name": "f", "content": "1"}, "role 'function'"),
        ({"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}, "type 'input_audio'"),
        ({"role": "user", "content": " "}, "every message is empty"),
    ],
)
def test_what_the_api_has_no_word_for(message: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        sent(message)


def test_nothing_of_the_call_is_changed() -> None:
    part = {"type": "image_url", "image_url": {"url": "data:image/png;base64,YQ=="}}
    messages = [
        {"role": "user", "content": [part]},
        assistant("a"),
        result("a"),
        {"role": "assistant", "content": "b "},
    ]
    params = {"tools": [{"type": "function", "function": {"name": "f"}}], "stop": ["x"]}
    before = json.dumps([messages, params])
    sent(*messages, model=EARLY, **params)
    assert json.dumps([messages, params]) == before
