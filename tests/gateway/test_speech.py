"""One choice of a stream, from its deltas: as providers send them, and as none should."""

from typing import Any

import pytest

from promptwire.gateway.speech import MAX_CALLS, Speech


def heard(*deltas: Any) -> dict[str, Any]:
    speech = Speech()
    for delta in deltas:
        speech.hear(delta)
    message = speech.message
    assert message.pop("role") == "assistant"
    return {name: value for name, value in message.items() if value is not None}


def call(call_id: str, name: str, arguments: str) -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def piece(index: object, function: object, **more: Any) -> dict[str, Any]:
    return {"tool_calls": [{"index": index, "function": function, **more}]}


@pytest.mark.parametrize(
    ("deltas", "said"),
    [
        ([], {}),
        ([{"role": "assistant", "content": ""}, {"content": "Hel"}, {"content": "lo"}, {}], {"content": "Hello"}),
        ([{"refusal": "I can"}, {"refusal": "'t."}], {"refusal": "I can't."}),
        (
            [{"content": "So:"}, piece(0, {"name": "look", "arguments": ""}, id="c1"),
             piece(0, {"arguments": '{"q"'}), piece(0, {"arguments": ": 1}"})],
            {"content": "So:", "tool_calls": [call("c1", "look", '{"q": 1}')]},
        ),
        (
            [piece(1, {"name": "wait", "arguments": "{}"}, id="c2"),
             piece(0, {"name": "look", "arguments": "{}"}, id="c1")],
            {"tool_calls": [call("c1", "look", "{}"), call("c2", "wait", "{}")]},
        ),
        (
            [piece(0, {"name": "look", "arguments": "{"}, id="c1"), piece(0, {"arguments": "}"}, id="c1")],
            {"tool_calls": [call("c1", "look", "{}")]},
        ),
        ([piece(None, {"name": "look", "arguments": "{}"}, id="c1")], {"tool_calls": [call("c1", "look", "{}")]}),
        ([piece(7, {"name": "look"})], {"tool_calls": [call("", "look", "")]}),
        (["x", None, {"content": ["x"], "refusal": {}, "tool_calls": "x"}, {"tool_calls": [3]}], {}),
        ([piece([], {"name": 1, "arguments": {}}, id=3), piece(0, "x")], {"tool_calls": [call("", "", "")]}),
    ],
    ids=range(10),
)  # fmt: skip
def test_deltas_become_a_message(deltas: list[Any], said: dict[str, Any]) -> None:
    assert heard(*deltas) == said


def test_very_many_calls_are_cut_and_those_begun_go_on() -> None:
    begun = [piece(index, {"name": "look", "arguments": "{"}, id=f"c{index}") for index in range(MAX_CALLS + 2)]
    calls = heard(*begun, piece(5, {"arguments": "}"}))["tool_calls"]
    assert len(calls) == MAX_CALLS
    assert calls[5] == call("c5", "look", "{}")


def test_its_size_is_that_of_all_its_texts() -> None:
    speech = Speech()
    for delta in ({"content": "abc"}, {"refusal": "de"}, piece(0, {"name": "f", "arguments": "{}"})):
        speech.hear(delta)
    assert speech.size == 8
