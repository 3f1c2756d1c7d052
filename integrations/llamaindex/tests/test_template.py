"""``ManagedPromptTemplate`` by itself: what it fills in, what it holds on to, what it tells."""

import asyncio
import copy
import json
import pickle
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from llama_index.core.base.llms.types import ImageBlock, TextBlock
from llama_index.core.llms import ChatMessage
from llama_index.core.output_parsers import PydanticOutputParser
from llama_index.core.prompts import BasePromptTemplate, PromptTemplate, SelectorPromptTemplate
from llama_index.llms.promptwire import ManagedPromptTemplate, PromptwireGateway
from llama_index.llms.promptwire.lookup import ONE_QUERY
from pydantic import BaseModel

import promptwire
from promptwire import (
    ConfigurationError,
    MissingVariablesError,
    Prompt,
    PromptNotFoundError,
    Resolver,
    TemplateError,
)
from promptwire.backends.memory import MemoryBackend
from promptwire.rollout import choose_label

RAG = [
    {"role": "system", "content": 'Answer {"as": "json"} from: {{context}}'},
    {"role": "user", "content": "{{query_str}}"},
]
MAPPED = {"context_str": "context"}


@pytest.fixture
def library(library: MemoryBackend) -> MemoryBackend:
    library.publish("rag", RAG)
    library.publish(
        "talk", [{"role": "system", "content": "Be {{mood}}."}, {"type": "placeholder", "name": "chat_history"}]
    )
    library.publish(
        "shots", [{"type": "placeholder", "name": "examples"}, {"role": "user", "content": "{{query_str}}"}]
    )
    return library


@pytest.fixture
def rag(make: Any) -> ManagedPromptTemplate:
    return make("rag", template_var_mappings=MAPPED)  # type: ignore[no-any-return]


def said(messages: list[ChatMessage]) -> list[tuple[str, str | None]]:
    return [(message.role.value, message.content) for message in messages]


def test_it_is_a_template(rag: ManagedPromptTemplate) -> None:
    assert isinstance(rag, BasePromptTemplate)
    assert rag.template_vars == ["context_str", "query_str"]
    assert rag.metadata["prompt_type"] == "custom"
    assert rag.get_template() == (
        'system: Answer {"as": "json"} from: {context_str}\nuser: {query_str}\nassistant: '
    )  # fmt: skip


def test_a_text(make: Any) -> None:
    made = make("greeting")
    assert made.format(name="Ada") == "Hello Ada"
    assert said(made.format_messages(name="Ada")) == [("user", "Hello Ada")]
    assert said(make("greeting", text_role="system").format_messages(name="Ada")) == [("system", "Hello Ada")]
    assert made.format(name="Ada", completion_to_prompt=str.upper) == "HELLO ADA"
    assert made.get_template() == made.template == "Hello {name}"


def test_a_chat(rag: ManagedPromptTemplate) -> None:
    given: dict[str, Any] = {"context_str": "{query_str} {{query_str}} {", "query_str": "Who? {context_str}"}
    expected = [("system", 'Answer {"as": "json"} from: {query_str} {{query_str}} {'), ("user", "Who? {context_str}")]
    assert said(rag.format_messages(**given)) == expected
    assert rag.format(**given) == "".join(f"{role}: {text}\n" for role, text in expected) + "assistant: "
    assert rag.format(**given, messages_to_prompt=lambda messages: str(len(messages))) == "2"


def test_a_chat_of_one_message_is_its_text(make: Any, library: MemoryBackend) -> None:
    assert make("persona").format(name="Ada") == "You are Ada."
    assert make("persona").template == "You are {name}."
    assert make("persona").format(name="Ada", messages_to_prompt=lambda messages: messages[0].role.value) == "system"


def test_who_wins(make: Any) -> None:
    """Known beforehand, then the engine's arguments, then ``promptwire.variables``."""
    made = make("rag", template_var_mappings=MAPPED, context_str="partial", query_str="partial")
    assert [text for _, text in said(made.format_messages(query_str="given"))][1] == "given"
    assert made.partial_format(query_str="later").format_messages()[1].content == "later"
    with promptwire.variables(context="ambient"):
        system, _ = made.format_messages(context_str="given")
    assert str(system.content).endswith("from: ambient")


def test_a_function_makes_a_value(make: Any) -> None:
    made = make("rag", template_var_mappings=MAPPED, function_mappings={"context_str": lambda **given: given["q"] * 2})
    assert str(made.format_messages(q="ab", query_str="?")[0].content).endswith("from: abab")
    fixed = make("greeting", function_mappings={"name": lambda **_: "Ada"})
    assert fixed.format() == "Hello Ada"


@pytest.mark.parametrize("given", [{}, {"query_str": "Who?"}])
def test_what_is_missing_is_named(given: dict[str, Any], rag: ManagedPromptTemplate) -> None:
    with pytest.raises(MissingVariablesError, match="context") as caught:
        rag.format_messages(**given)
    assert caught.value.missing == ("context", "query_str")[: 2 - len(given)]
    assert "{{context}}" in str(rag.model_copy(update={"missing": "keep"}).format_messages(**given)[0].content)


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        (None, []),
        ([], []),
        ("", []),
        ("user: Hi\nassistant: Ho {mood}", [("user", "user: Hi\nassistant: Ho {mood}")]),
        ([ChatMessage("Hi {{mood}}"), ChatMessage(role="assistant", content="Ho")],
         [("user", "Hi {{mood}}"), ("assistant", "Ho")]),
        ([{"role": "user", "content": "Hi"}], [("user", "Hi")]),
    ],
)  # fmt: skip
def test_a_history_goes_into_its_placeholder(history: Any, expected: list[Any], make: Any) -> None:
    given = {} if history is None else {"chat_history": history}
    assert said(make("talk", mood="kind").format_messages(**given)) == [("system", "Be kind."), *expected]


def test_other_placeholders_must_be_filled(make: Any) -> None:
    made = make("shots")
    assert made.template_vars == ["query_str", "examples"]
    with pytest.raises(MissingVariablesError, match="examples"):
        made.format_messages(query_str="Who?")
    with pytest.raises(ConfigurationError, match="'examples' takes a list of message dicts"):
        made.format_messages(query_str="Who?", examples=[ChatMessage("Hi"), 7])
    shot = ChatMessage(blocks=[TextBlock(text="Look"), ImageBlock(url="http://127.0.0.1/a.png")])
    assert make("shots", examples=[shot]).format_messages(query_str="Who?")[0] is shot


def test_an_output_parser_has_its_say(make: Any, openai: Any) -> None:
    class Answer(BaseModel):
        text: str

    parser = PydanticOutputParser(Answer)
    made = make("greeting", output_parser=parser)
    assert made.format(name="Ada") == parser.format("Hello Ada")
    messages = made.format_messages(name="Ada")
    assert said(messages) == [("user", parser.format("Hello Ada"))]
    PromptwireGateway(model="gpt-4o-mini").chat(messages)
    assert openai.requests[-1].json["messages"][0]["content"] == parser.format("Hello Ada")


def test_parts_that_llama_index_lacks_only_go_where_they_can_be_sent(make: Any, library: MemoryBackend) -> None:
    parts = [{"type": "text", "text": "Read {{name}}"}, {"type": "file", "file": {"file_id": "f1"}}]
    library.publish("file", [{"role": "user", "content": parts}])
    with pytest.raises(TemplateError, match="no block for"):
        make("file").format_messages(name="this")
    assert len(make("file").format_messages(llm=PromptwireGateway(model="gpt-4o"), name="this")) == 1


def test_one_query_one_version(rag: ManagedPromptTemplate, library: MemoryBackend, resolver: Resolver) -> None:
    held = rag.partial_format(query_str="Who?")
    twin = copy.deepcopy(held).partial_format(context_str="x")
    library.publish("rag", "v2 {{context}}")
    resolver.invalidate()
    assert len(held.format_messages(context_str="x")) == len(twin.format_messages()) == 2
    assert rag.format(context_str="x") == "v2 x"
    assert copy.deepcopy(rag).format(context_str="x") == "v2 x"


def test_a_partial_template_that_is_kept_follows_the_team(
    rag: ManagedPromptTemplate, library: MemoryBackend, resolver: Resolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = rag.partial_format(query_str="Who?")
    library.publish("rag", "v2 {{context}}")
    resolver.invalidate()
    assert len(kept.format_messages(context_str="x")) == 2
    later = SimpleNamespace(monotonic=lambda: time.monotonic() + ONE_QUERY)
    monkeypatch.setattr("llama_index.llms.promptwire.lookup.time", later)
    assert kept.format(context_str="x") == "v2 x"


async def test_a_pinned_one_never_changes(
    rag: ManagedPromptTemplate, library: MemoryBackend, resolver: Resolver
) -> None:
    pinned = [rag.pin(), await rag.apin()]
    assert [one.model_dump()["template_vars"] for one in pinned] == [["context_str", "query_str"]] * 2
    library.publish("rag", "v2 {{context}}")
    resolver.invalidate()
    for one in (*pinned, pickle.loads(pickle.dumps(pinned[0]))):  # noqa: S301 - our own
        assert len(one.format_messages(context_str="x", query_str="Who?")) == 2


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_prefetched_is_there(colour: str, make: Any, library: Any) -> None:
    made = make("greeting")
    assert library.fetched == []
    made.prefetch() if colour == "sync" else asyncio.run(made.aprefetch())
    assert library.fetched == ["greeting"]
    assert made.format(name="Ada") == "Hello Ada"
    assert library.fetched == ["greeting"]


def test_version_label_and_fallback(make: Any, library: MemoryBackend) -> None:
    library.publish("greeting", "Bye {{name}}", labels=("staging",))
    assert make("greeting", version=1).format(name="Ada") == "Hello Ada"
    assert make("greeting", label="staging").format(name="Ada") == "Bye Ada"
    for fallback in ("Hi {{name}}", Prompt("p", text="Hi {{name}}")):
        made = make("gone", fallback=fallback)
        assert made.format(name="Ada") == "Hi Ada"
        assert made.model_dump()["fallback"] in {"Hi {{name}}", None}
    with pytest.raises(PromptNotFoundError):
        make("gone").format(name="Ada")


def test_its_backend_and_the_default_resolver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hello.yaml").write_text("text: Hello {{ name }}")
    monkeypatch.setenv("PROMPTWIRE_PROMPTS_DIR", str(tmp_path))
    with promptwire.default.fresh_resolver():
        for made in (ManagedPromptTemplate("hello"), ManagedPromptTemplate("files:hello"),
                     ManagedPromptTemplate("hello", backend="files")):  # fmt: skip
            assert made.format(name="Ada") == "Hello Ada"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"prompt_id": 7}, "a prompt id is a text"),
        ({"prompt_id": "../x"}, r"'\.' and '\.\.' are no part"),
        ({"missing": "never"}, "missing is 'error' or 'keep'"),
        ({"resolver": "x"}, "resolver= is a Resolver, not str"),
        ({"prompt_label": "x"}, "'prompt_label': give label"),
        ({"template_var_mappings": "canary"}, "template_var_mappings: Input should be"),
        ({"function_mappings": {"x": 7}}, "function_mappings"),
        ({"text_role": 7}, "text_role"),
    ],
)
def test_arguments_are_checked(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        ManagedPromptTemplate(**{"prompt_id": "x", **given})
    assert "canary" not in str(caught.value)


def test_a_life_as_data(rag: ManagedPromptTemplate, resolver: Resolver) -> None:
    used = rag.partial_format(query_str="secret-question")
    used.format_messages(context_str="x")
    for twin in (pickle.loads(pickle.dumps(used)), copy.deepcopy(used), copy.copy(used)):  # noqa: S301 - our own
        assert twin.format_messages(context_str="x")[1].content == "secret-question"
    assert copy.deepcopy(rag)._resolver is resolver  # noqa: SLF001 - shared, not copied
    assert "secret-question" not in repr(used)
    told = json.loads(used.model_dump_json())
    assert told["prompt_id"] == "rag"
    assert told["template_vars"] == ["context_str", "query_str"]
    assert used.format_messages(context_str="x")[1].content == "secret-question"


def test_a_copy_shares_no_dictionary(rag: ManagedPromptTemplate) -> None:
    twin = copy.deepcopy(rag)
    twin.kwargs["query_str"] = twin.metadata["x"] = twin.template_var_mappings["query_str"] = "y"  # type: ignore[index]
    assert (rag.kwargs, rag.metadata, rag.template_var_mappings) == ({}, {"prompt_type": "custom"}, MAPPED)


def test_in_a_selector(rag: ManagedPromptTemplate) -> None:
    both = SelectorPromptTemplate(default_template=rag, conditionals=[(lambda _: False, PromptTemplate("never"))])
    assert both.template_vars == ["context_str", "query_str"]
    assert len(both.partial_format(query_str="Who?").format_messages(context_str="x")) == 2


def test_weighted_labels_are_settled_once_by_their_key(resolver: Resolver) -> None:
    weights = {"production": 50, "candidate": 50}
    made = [ManagedPromptTemplate("x", label=weights, rollout_key=str(n), resolver=resolver) for n in range(12)]
    assert [one.label for one in made] == [choose_label("x", weights, str(n)) for n in range(12)]
    assert {one.label for one in made} == set(weights)
    with pytest.raises(ConfigurationError, match="weight"):
        ManagedPromptTemplate("x", label={"production": -1}, resolver=resolver)
