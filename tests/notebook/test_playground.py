"""The playground's kernel side: its fields and versions, as messages of the browser's and to it."""

import json
import sys
import threading
from typing import Any, cast

import pytest

import promptwire
from promptwire import ConfigurationError, Placeholder, Prompt, PromptNotFoundError, PromptRef, Resolver
from promptwire.default import fresh_resolver
from promptwire.testing import FakeLangfuse, FakeOpenAI
from tests.conftest import Stub, wait_until
from tests.doubles.kernel import send, tell
from tests.notebook.conftest import play, ran, said, text, typed


def test_every_variable_has_a_field(prompts: Resolver) -> None:
    widget = play("ask@1", "ask@2", resolver=prompts, variables={"question": "Why?"})
    assert [(one["label"], one["kind"]) for one in widget.fields] == [("question", "text"), ("tone", "text")]
    assert widget.typed["values"] == {"question": "Why?"}
    assert text(widget) == "user: Briefly: Why?"
    assert text(widget, 1) == "system: Be {{tone}}.\nuser: Why?"
    assert [pane["missing"] for pane in widget.drawn["panes"]] == [[], ["tone"]]


def test_what_is_typed_is_rendered_and_answered_with_its_number(prompts: Resolver) -> None:
    widget = play("ask@1", resolver=prompts)
    typed(widget, 7, question="How?")
    assert text(widget) == "user: Briefly: How?"
    assert widget.drawn["serial"] == 7
    spans = widget.drawn["panes"][0]["blocks"][0]["spans"]
    assert ["value", "How?", "question", "question"] in spans
    assert typed(widget, 8, question="").drawn["panes"][0]["missing"] == ["question"]


def test_very_many_tags_come_as_few_pieces(prompts: Resolver) -> None:
    widget = play(Prompt("tags", text="{{a}}" * 30_000), resolver=prompts, variables={"a": "x"})
    assert text(widget) == "user: " + "x" * 30_000
    assert len(widget.drawn["panes"][0]["blocks"][0]["spans"]) == 2_000


def test_values_are_never_templates(prompts: Resolver) -> None:
    assert text(typed(play("ask@1", resolver=prompts), question="{{tone}} {{question}}")) == (
        "user: Briefly: {{tone}} {{question}}"
    )


def test_a_value_that_is_no_text_is_json(prompts: Resolver) -> None:
    widget = play("list", resolver=prompts, variables={"items": ["a", "b"]})
    assert widget.fields[0]["kind"] == "json"
    assert text(widget) == "user: - A\n- B\n"
    assert text(typed(widget, items='["c"]')) == "user: - C\n"
    pane = typed(widget, items='["c"').drawn["panes"][0]
    assert pane["title"] == "ConfigurationError"
    assert "field 'items' takes JSON" in text(widget)
    assert "field 'items' takes JSON" in said(ran(widget))


def test_what_was_given_is_used_as_it_is_until_it_is_changed(prompts: Resolver) -> None:
    widget = play("ask@1", resolver=prompts, variables={"question": {1: "one"}})
    assert widget.typed["values"] == {"question": '{"1": "one"}'}
    assert text(widget) == "user: Briefly: {1: 'one'}"


def test_what_no_field_can_show_is_refused(prompts: Resolver) -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(ConfigurationError, match="variable 'question' can't be shown"):
        play("ask@1", resolver=prompts, variables={"question": endless})


@pytest.mark.parametrize(
    ("prompt", "field", "entered", "shown"),
    [
        ("persona", "", "Who?", "user: Who?"),
        ("chat", "history", "Who?", "user: Who?"),
        ("chat", "history", '[{"role": "assistant", "content": "Yes?"}]', "assistant: Yes?"),
        ("chat", "history", "[1]", "user: [1]"),
    ],
)
def test_a_prompt_that_does_not_ask_takes_a_message(
    prompts: Resolver, openai: FakeOpenAI, *, prompt: str, field: str, entered: str, shown: str
) -> None:
    widget = typed(play(prompt, resolver=prompts, models=["gpt-4o"]), company="ACME", **{field: entered})
    assert text(widget).endswith(f"\n{shown}")
    ran(widget)
    role, _, content = shown.partition(": ")
    assert openai.requests[0].json["messages"][-1] == {"role": role, "content": content}


def test_ambient_variables_are_what_the_fields_hold(prompts: Resolver) -> None:
    with promptwire.variables(question="Ambient?"):
        widget = play("ask@1", resolver=prompts)
    assert text(widget) == "user: Briefly: Ambient?"


def test_versions_and_labels_can_be_picked(prompts: Resolver) -> None:
    widget = play("ask@1", resolver=prompts)
    wait_until(lambda: len(widget.versions) == 3)
    groups = {group["name"]: {one["text"]: one["key"] for one in group["choices"]} for group in widget.versions}
    assert list(groups["given"]) == ["ask@1"]
    assert list(groups["labels"]) == ["candidate → 2", "production → 1"]
    assert list(groups["versions"]) == ["version 2 · warmer", "version 1"]
    for key in (groups["labels"]["candidate → 2"], groups["versions"]["version 2 · warmer"]):
        tell(widget, picked=[{"version": key, "model": ""}])
        wait_until(lambda: text(widget) == "system: Be {{tone}}.\nuser: {{question}}")
        assert [one["name"] for one in widget.fields] == ["tone", "question"]
        tell(widget, picked=[{"version": "0", "model": ""}])
        wait_until(lambda: text(widget) == "user: Briefly: {{question}}")


@pytest.mark.parametrize("names", [("ask@1", "draft"), ("draft", "ask@1")])
def test_a_prompt_without_a_history_hides_no_others(prompts: Resolver, names: tuple[str, ...]) -> None:
    draft = Prompt("draft", text="Hello", backend="elsewhere")
    widget = play(*(draft if name == "draft" else name for name in names), resolver=prompts)
    wait_until(lambda: len(widget.versions) == 3)
    assert "ask version 2 · warmer" in [one["text"] for one in widget.versions[2]["choices"]]


def test_two_prompts_have_their_own_versions(prompts: Resolver) -> None:
    widget = play("ask@1", "persona", resolver=prompts)
    wait_until(lambda: len(widget.versions) == 3)
    texts = [one["text"] for group in widget.versions for one in group["choices"]]
    assert {"ask production → 1", "persona version 1"} <= set(texts)


def test_a_second_pane_comes_and_goes(prompts: Resolver, openai: FakeOpenAI) -> None:
    widget = play("ask@1", resolver=prompts, variables={"question": "Why?", "tone": "kind"}, models=["gpt-4o"])
    tell(widget, picked=[widget.picked[0], {"version": "0", "model": "gpt-4o"}, {"version": "0", "model": ""}, 3])
    assert len(widget.drawn["panes"]) == 2
    wait_until(lambda: widget.drawn["panes"][1]["state"] == "ready")
    ran(widget)
    assert [said(widget, at) for at in (0, 1)] == ["[gpt-4o-mini] Briefly: Why?", "[gpt-4o] Briefly: Why?"]
    tell(widget, picked=widget.picked[:1])
    assert len(widget.drawn["panes"]) == 1
    tell(widget, picked=[])
    assert len(widget.drawn["panes"]) == 1


def test_a_version_that_is_not_there_is_an_error_in_its_pane(prompts: Resolver) -> None:
    widget = play("ask@1", resolver=prompts)
    tell(widget, picked=[{"version": "nothing", "model": ""}])
    wait_until(lambda: widget.drawn["panes"][0]["state"] == "failed")
    assert "there is no version 'nothing'" in text(widget)
    assert "there is no version 'nothing'" in said(ran(widget))


def test_a_version_that_hangs_keeps_nobody_waiting(stub: type[Stub]) -> None:
    gate = threading.Event()

    def reply(ref: PromptRef, _: Any) -> Prompt:
        if ref.version == 2:
            gate.wait(10)
        return Prompt(ref.id, text=f"Version {ref.version}", version=ref.version, backend="stub")

    backend = stub(reply)
    cast("Any", backend).history = lambda *_: [promptwire.PromptVersion(n) for n in (2, 1, None)]
    widget = play("x@1", resolver=Resolver(cast("Any", backend)))
    wait_until(lambda: len(widget.versions) == 2)
    tell(widget, picked=[{"version": widget.versions[1]["choices"][0]["key"], "model": ""}])
    assert widget.drawn["panes"][0]["state"] == "loading"
    assert "still being fetched" in said(ran(widget))
    tell(widget, picked=[{"version": "0", "model": ""}])
    wait_until(lambda: text(widget) == "user: Version 1")
    gate.set()
    wait_until(lambda: all(thread.name != "promptwire-playground" for thread in threading.enumerate()))
    assert text(widget) == "user: Version 1"
    tell(widget, picked=[{"version": widget.versions[1]["choices"][0]["key"], "model": ""}])
    wait_until(lambda: text(widget) == "user: Version 2")


def test_a_backend_that_goes_down_says_so_where_versions_are_picked(langfuse: FakeLangfuse) -> None:
    resolver = Resolver("langfuse", timeout=3)
    resolver.get_prompt("greeting")
    langfuse.fail(500)
    widget = play("greeting", resolver=resolver, variables={"name": "Ann"})
    wait_until(lambda: widget.note)
    assert "no versions to choose from: langfuse" in widget.note
    assert text(widget) == "user: Hello Ann"


def test_a_draft_needs_no_backend(openai: FakeOpenAI) -> None:
    with fresh_resolver():
        widget = Prompt("draft", text="Say {{word}}").playground(models=["gpt-4o"], variables={"word": "yes"})
        assert said(ran(widget)) == "[gpt-4o] Say yes"
        assert widget.note == ""
        assert [group["name"] for group in widget.versions] == ["given"]


@pytest.mark.parametrize("content", [{"type": "quit"}, {"type": ["run"]}, "run", None])
def test_other_messages_do_nothing(prompts: Resolver, content: Any) -> None:
    widget = play("ask@1", resolver=prompts)
    send(widget, content)
    tell(widget, typed={"values": 3})
    assert (widget.answers, text(widget)) == ([], "user: Briefly: {{question}}")


def test_what_no_message_can_carry_is_shown_by_its_number(prompts: Resolver) -> None:
    half = "\ud800\u202e"
    messages: list[Any] = [{"role": "user", "content": "{{question}} " + half}, Placeholder(half)]
    prompt = Prompt("half", messages=messages, config={"model": half})
    widget = play(prompt, resolver=prompts, variables={"question": half, half: [{"role": "user", "content": half}]})
    json.dumps(widget.get_state(), ensure_ascii=False, default=str).encode()
    assert text(widget) == "user: [U+D800][U+202E] [U+D800][U+202E]\nuser: [U+D800][U+202E]"
    assert [one["label"] for one in widget.fields] == ["question", "[U+D800][U+202E]"]
    typed(widget, **{widget.fields[1]["name"]: "Yes?"})
    assert text(widget).endswith("user: Yes?")


def test_a_label_that_nobody_can_ask_for_is_no_choice(stub: type[Stub]) -> None:
    backend = stub(lambda ref, _: Prompt(ref.id, text="Hello", backend="stub"))
    cast("Any", backend).history = lambda *_: [promptwire.PromptVersion(2, ("\ud800", "good"))]
    widget = play("x", resolver=Resolver(cast("Any", backend)))
    wait_until(lambda: len(widget.versions) == 3)
    assert [one["text"] for group in widget.versions[1:] for one in group["choices"]] == ["good → 2", "version 2"]


def test_without_widgets_it_is_a_display(prompts: Resolver, openai: FakeOpenAI) -> None:
    values = {"question": "<b>Why?</b>"}
    widget = ran(play("ask@1", "ask@2", resolver=prompts, variables=values, models=["gpt-4o"]))
    bundle, _ = widget._repr_mimebundle_()
    assert bundle["application/vnd.jupyter.widget-view+json"]["model_id"] == widget.model_id
    assert "&lt;b&gt;Why?&lt;/b&gt;" in bundle["text/html"]
    assert "[gpt-4o-mini] Briefly" in bundle["text/markdown"].replace("\\", "")
    assert "needs variables that were not given: tone" in bundle["text/plain"]


def test_marimos_threads_are_used_where_it_is(prompts: Resolver, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[threading.Thread] = []

    class Thread(threading.Thread):
        def start(self) -> None:
            started.append(self)
            super().start()

    class Marimo:
        pass

    cast("Any", Marimo).Thread = Thread
    monkeypatch.setitem(sys.modules, "marimo", cast("Any", Marimo))
    play("ask@1", resolver=prompts)
    assert started


@pytest.mark.parametrize(
    ("subjects", "options", "error", "match"),
    [
        ((), {}, ConfigurationError, "a prompt, or two"),
        (("ask@1", "ask@2", "persona"), {}, ConfigurationError, "not 3"),
        (("ask@1", "ask@1"), {}, ConfigurationError, "same prompt"),
        ((3,), {}, ConfigurationError, "references"),
        (("ask@1",), {"models": "gpt-4o"}, ConfigurationError, "a list of model strings"),
        (("ask@1",), {"variables": ["a"]}, ConfigurationError, "variables is a mapping"),
        (("ask@1",), {"variables": {1: "a"}}, ConfigurationError, "variables is a mapping"),
        (("ask@1",), {"prompt_variables": {}}, ConfigurationError, "use variables="),
        (("ask@1",), {"temprature": 0.2}, ConfigurationError, r"^playground\(\) .*'temperature'\?"),
        (("ask@1",), {"variabels": {}}, ConfigurationError, "did you mean 'variables'"),
        (("nothing",), {}, PromptNotFoundError, "nothing"),
    ],
)
def test_what_can_t_be_played_with_is_refused(
    prompts: Resolver, subjects: Any, options: Any, error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        play(*subjects, resolver=prompts, **options)


def test_without_the_extra_the_error_says_what_to_install(prompts: Resolver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "anywidget", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'promptwire\[notebook\]'"):
        play("ask@1", resolver=prompts)
