"""Generated types: strict type checkers take them, and no id or variable reaches the source as anything but text."""

from __future__ import annotations

import ast
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptwire import ConfigurationError, Placeholder, Prompt, PromptRef, Resolver
from promptwire.backends.memory import MemoryBackend
from promptwire.contracts import declared_names
from promptwire.lock import Locked
from promptwire.stubs import make_stubs

HOSTILE = (
    "support/reply", "support-reply", "support reply", "3d", "class", "None", "true", "object", "Any", "CONTRACTS",
    "PromptId", "Type d Dict", "会话", "\u017fupport/reply", "ﬁne", "é", "e\u0301", "💥", "'''",
    '"""', "\\", "{x}", "%s",
    "a'b", 'a"b', "#x", "__import__('os').system('x')", "x\u2028y", "\u202ex", "..x", "x" * 300, "_", "-", "ªbject",
)  # fmt: skip

FRONT_DOORS = """
import stubs
from langchain_promptwire import ChatPromptwire
from langchain_promptwire import ManagedPromptTemplate as ForLangChain
from llama_index.llms.promptwire import ManagedPromptTemplate as ForLlamaIndex
from llama_index.llms.promptwire import Promptwire
from promptwire import Resolver, acompletion, aresolve, completion, resolve, variables

which: stubs.PromptId = "support/reply"
reply: stubs.SupportReply = {"question": "Where?", "first name": "Ann"}
llm, chat = Promptwire(model="gpt-4o", prompt_id=which), ChatPromptwire(model="gpt-4o", prompt_id=which)

Resolver(contracts=stubs.CONTRACTS).resolve(which, variables=reply)
resolve(which, variables=reply)
completion(model="gpt-4o", prompt_id=which, prompt_variables=reply)
chat.invoke([], prompt_variables=reply)
chat.with_prompt(which, **reply)
llm.complete("", prompt_variables=reply)
Promptwire(model="gpt-4o", prompt_id=which, prompt_variables=reply)
ChatPromptwire(model="gpt-4o", prompt_id=which, prompt_variables=reply)
ForLangChain(which, partial_variables=reply)
ForLangChain(which).invoke(reply)
ForLangChain(which).format_messages(**reply)
ForLlamaIndex(which).format(**reply)
ForLlamaIndex(which).partial_format(**reply)
with variables(**reply):
    pass

async def ask() -> None:
    await aresolve(which, variables=reply)
    await acompletion(model="gpt-4o", prompt_id=which, prompt_variables=reply)
    await chat.ainvoke([], prompt_variables=reply)
    await llm.acomplete("", prompt_variables=reply)
"""


def entry(prompt_id: str, text: str, **fields: Any) -> Locked:
    return Locked("langfuse", PromptRef(prompt_id), Prompt(prompt_id, text=text, **fields))


def checked(folder: Path, *files: str) -> subprocess.CompletedProcess[str]:
    pytest.importorskip("mypy", reason="the floor's environment has no type checker")
    command = [sys.executable, "-m", "mypy", "--strict", "--no-incremental", "--config-file=", *files]
    return subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)


def loaded(source: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(compile(source, "stubs.py", "exec", dont_inherit=True), names)  # noqa: S102 - what the test is about
    return names


def test_the_module_is_as_documented() -> None:
    chat = Prompt(
        "chat",
        messages=[{"role": "system", "content": "{{tone}} {{language}}"}, Placeholder("history"), Placeholder("shots")],
        partials={"language": "English"},
    )
    source = make_stubs([entry("support/reply", "{{question}} {{first name}}"), Locked("x", PromptRef("chat"), chat)])
    assert (
        source
        == '''"""What each managed prompt needs, as types. Made by promptwire stubs: make it anew, don't edit it."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NotRequired, TypedDict

PromptId = Literal['chat', 'support/reply']

Chat = TypedDict(
    'Chat',
    {
        'history': NotRequired[Sequence[Mapping[str, Any]]],
        'language': NotRequired[object],
        'shots': Sequence[Mapping[str, Any]],
        'tone': object,
    },
)

SupportReply = TypedDict(
    'SupportReply',
    {
        'first name': object,
        'question': object,
    },
)

CONTRACTS: dict[str, Any] = {
    'chat': Chat,
    'support/reply': SupportReply,
}
'''
    )


def test_hostile_ids_and_variables_pass_strict_mypy_and_a_wrong_use_does_not(tmp_path: Path) -> None:
    entries = [entry(prompt_id, "{{class}} {{a b}} {{名}} {{x.y}} {{id-1}}") for prompt_id in HOSTILE]
    (tmp_path / "stubs.py").write_text(make_stubs(entries), "utf-8")
    use = (
        "import stubs\n"
        "prompt_id: stubs.PromptId = 'support/reply'\n"
        "good: stubs.SupportReply = {'class': 1, 'a b': 'x', '名': [], 'x.y': None, 'id-1': 0}\n"
    )
    (tmp_path / "good.py").write_text(use, "utf-8")
    wrong = "bad: stubs.SupportReply = {'class': 1}\nnone: stubs.PromptId = 'nowhere'\n"
    (tmp_path / "bad.py").write_text(use + wrong, "utf-8")
    good = checked(tmp_path, "stubs.py", "good.py")
    assert good.returncode == 0, good.stdout
    bad = checked(tmp_path, "bad.py")
    assert "Missing keys" in bad.stdout
    assert "[assignment]" in bad.stdout


@pytest.mark.timeout(300)  # the frameworks are read, too
def test_every_front_door_takes_what_the_module_declares(tmp_path: Path) -> None:
    (tmp_path / "stubs.py").write_text(make_stubs([entry("support/reply", "{{question}} {{first name}}")]), "utf-8")
    (tmp_path / "use.py").write_text(FRONT_DOORS, "utf-8")
    done = checked(tmp_path, "use.py")
    assert done.returncode == 0, done.stdout


@given(st.lists(st.text(min_size=1) | st.sampled_from(HOSTILE), max_size=8, unique=True), st.lists(st.text()))
def test_any_ids_and_variables_make_a_module_of_nothing_but_types(ids: list[str], variables: list[str]) -> None:
    entries = []
    for prompt_id in ids:
        try:
            entries.append(entry(prompt_id, "".join(f"{{{{{name}}}}}" for name in variables)))
        except ConfigurationError:
            continue
    source = make_stubs(entries)
    assert all(char.isprintable() or char == "\n" for char in source)
    kinds = [type(node).__name__ for node in ast.parse(source).body]
    assert kinds == ["Expr", "ImportFrom", "ImportFrom", "Assign", *["Assign"] * len(entries), "AnnAssign"]
    contracts = loaded(source)["CONTRACTS"]
    assert contracts.keys() == {one.ref.id for one in entries}
    assert len({made.__name__ for made in contracts.values()}) == len(entries)
    for one in entries:
        assert set(declared_names(one.ref.id, contracts[one.ref.id])) == set(one.prompt.variables)


def test_an_id_that_was_locked_twice_asks_for_what_any_of_them_needs() -> None:
    first = Locked("x", PromptRef("p", label="a"), Prompt("p", text="{{a}} {{b}}", partials={"b": 1}))
    second = Locked("x", PromptRef("p", label="b"), Prompt("p", text="{{b}} {{c}}"))
    made = loaded(make_stubs([first, second]))["P"]
    assert (made.__required_keys__, made.__optional_keys__) == ({"a", "b", "c"}, set())
    assert make_stubs([second, first]) == make_stubs([first, second])


def test_no_prompts_make_a_module_too() -> None:
    assert loaded(make_stubs([]))["CONTRACTS"] == {}


def test_the_generated_contracts_hold_back_a_version_that_needs_more(caplog: pytest.LogCaptureFixture) -> None:
    backend = MemoryBackend({"greeting": "Hello {{name}}"})
    contracts = loaded(make_stubs([entry("greeting", "Hello {{name}}")]))["CONTRACTS"]
    resolver = Resolver(backend, contracts=contracts)
    assert resolver.get_prompt("greeting").version == 1
    backend.publish("greeting", "Hello {{name}} of {{city}}")
    with caplog.at_level(logging.WARNING):
        assert resolver.get_prompt("greeting").version == 1
    assert "it needs city" in caplog.text
