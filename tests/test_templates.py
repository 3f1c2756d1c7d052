import copy
import json
import pickle
import subprocess
import sys
import time
from collections import UserDict, defaultdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langfuse.model import TemplateParser

from promptwire.errors import MissingVariablesError, PromptConfigError, PromptwireError
from promptwire.templates import add_missing, compile_template

HERE = Path(__file__).parent
CASES = HERE / "cases"
SHARED = HERE.parent.parent / "shared" / "contract"
DIALECTS: tuple[str, ...] = ("mustache", "humanloop", "jinja")


def cases(file: str) -> list[dict[str, Any]]:
    """The clone's own cases, and those of a contract folder beside the clone if there is one."""
    found = [
        case
        for path in (CASES / file, SHARED / file)
        if path.exists()
        for case in json.loads(path.read_text())["cases"]
    ]
    return list({json.dumps(case): case for case in found}.values())


def langfuse_cases(op: str) -> list[Any]:
    chosen = [case for case in cases("langfuse_compile_cases.json") if case["op"] == op]
    return [pytest.param(case, id=case["id"]) for case in chosen if "DEFECT" not in case.get("note", "")]


def humanloop_cases() -> list[Any]:
    chosen = [case for case in cases("humanloop_cases.json") if isinstance(case["template"], str)]
    return [pytest.param(case, id=case["name"]) for case in chosen if "re-expanded" not in case["name"]]


def strict(text: str, dialect: str = "mustache", /, **values: object) -> tuple[str, list[str]]:
    missing: list[str] = []
    return compile_template(text, dialect).render(values, missing), missing


def keep(text: str, dialect: str = "mustache", /, **values: object) -> str:
    return compile_template(text, dialect).render(values, None)


@pytest.mark.parametrize("case", langfuse_cases("compile_text"))
def test_mustache_keeps_to_the_official_compile(case: dict[str, Any]) -> None:
    assert compile_template(case["prompt"], "mustache").render(case["args"], None) == case["expected"]


@pytest.mark.parametrize("case", langfuse_cases("variables_text"))
def test_mustache_names_each_variable_once(case: dict[str, Any]) -> None:
    assert compile_template(case["prompt"], "mustache").variables == tuple(dict.fromkeys(case["expected"]))


@pytest.mark.parametrize("case", humanloop_cases())
def test_humanloop_keeps_to_the_official_sdk(case: dict[str, Any]) -> None:
    missing: list[str] = []
    text = compile_template(case["template"], "humanloop").render(case["inputs"] or {}, missing)
    assert missing == case.get("missing_variables", [])
    assert missing or text == case["output"]


def test_the_cases_are_there() -> None:
    assert len(langfuse_cases("compile_text")) >= 24
    assert len(humanloop_cases()) >= 20


def test_a_variable_may_be_called_self() -> None:
    template = compile_template("{{self}} {{values}} {{missing}}", "mustache")
    assert template.render({"self": "a", "values": "b", "missing": "c"}, None) == "a b c"


def test_humanloop_takes_none_as_missing_and_leaves_its_tag() -> None:
    assert strict("{{a}} {{ b }}{{a}}", "humanloop", a=None, b="x")[1] == ["a"]
    assert keep("{{a}} {{ b }} {{c}}", "humanloop", a=None, b="x") == "{{a}} x {{c}}"


@pytest.mark.parametrize(
    "name", ["name", "user.name", "first-name", "_x1", "two words", "größe", "名前", "नाम", "ตัวแปร", "1"]
)
def test_strict_mode_asks_for_names_of_any_script(name: str) -> None:
    template = compile_template(f"[{{{{ {name} }}}}]", "mustache")
    assert template.variables == (name,)
    missing: list[str] = []
    template.render({}, missing)
    assert missing == [name]
    assert template.render({name: "v"}, []) == "[v]"


@pytest.mark.parametrize(
    "tag",
    ['{{"a": 1}}', "{{#if x}}", "{{/if}}", "{{}}", "{{ }}", "{{...}}", "{{ - }}", "{{a|b}}", "{{> p}}", "{{a\nb}}"],
)
def test_strict_mode_leaves_other_tags_as_text(tag: str) -> None:
    template = compile_template(f"{{{{x}}}} {tag}", "mustache")
    missing: list[str] = []
    assert template.variables == ("x",)
    assert template.render({"x": "1", tag[2:-2].strip(): "never"}, missing) == f"1 {tag}"
    assert missing == []
    assert template.render({tag[2:-2].strip(): "vendor"}, None) == "{{x}} vendor"


def test_triple_braces_are_text_in_strict_mode() -> None:
    assert strict("{{{x}}}", x="v") == ("{{{x}}}", [])


def test_all_missing_names_are_appended_once_behind_those_already_there() -> None:
    missing = ["b", "z"]
    compile_template("{{a}}{{b}}{{a}}{{c}}", "mustache").render({"c": ""}, missing)
    assert missing == ["b", "z", "a"]


def test_missing_names_make_the_error_that_names_them_all() -> None:
    missing: list[str] = []
    add_missing(missing, ["a", "b", "a"])
    assert MissingVariablesError("x", missing).missing == ("a", "b")


@pytest.mark.parametrize("dialect", DIALECTS)
def test_values_are_never_expanded_again(dialect: str) -> None:
    assert strict("{{ a }}{{ b }}", dialect, a="{{ b }}", b="{{ a }}") == ("{{ b }}{{ a }}", [])


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_text_without_tags_renders_to_itself(dialect: str) -> None:
    template = compile_template("a {b} c} }\r\n", dialect)
    assert template.variables == ()
    assert template.render({"b": 1}, []) == "a {b} c} }\r\n"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_template_survives_pickle_and_deepcopy(dialect: str) -> None:
    template = compile_template("Hi {{ name }}", dialect)
    for twin in (pickle.loads(pickle.dumps(template)), copy.deepcopy(template)):  # noqa: S301 - our own bytes
        assert twin.variables == ("name",)
        assert twin.render({"name": "Ann"}, []) == "Hi Ann"


def test_any_mapping_will_do_and_none_is_asked_to_invent_values() -> None:
    invented: defaultdict[str, object] = defaultdict(lambda: "made up")
    assert compile_template("{{a}}", "mustache").render(UserDict(a=1), None) == "1"
    assert compile_template("{{a}}", "mustache").render(invented, None) == "{{a}}"
    assert not invented


def test_an_unknown_dialect_names_the_three() -> None:
    with pytest.raises(
        PromptConfigError, match=r"^files prompt 'x': .*'f-string'.* mustache, humanloop or jinja$"
    ) as info:
        compile_template("x", "f-string", "files prompt 'x'")
    assert isinstance(info.value, PromptwireError)


def test_jinja_is_imported_only_for_a_jinja_template_with_tags() -> None:
    code = (
        "import sys\n"
        "from promptwire.templates import compile_template as c\n"
        "c('{{x}}', 'mustache'); c('{{x}}', 'humanloop'); c('x', 'jinja')\n"
        "assert 'jinja2' not in sys.modules\n"
        "c('{{x}}', 'jinja')\n"
        "assert 'jinja2' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize(
    ("dialect", "text"),
    [
        ("mustache", "{{" * 200_000),
        ("mustache", "{{a}}" * 200_000),
        ("mustache", "".join(f"{{{{a{n}}}}}" for n in range(100_000))),
        ("mustache", '{{"a"}}' + "".join(f"{{{{a{n}}}}}" for n in range(100_000))),
        ("humanloop", "{{" * 200_000),
        ("humanloop", "{{a" * 200_000),
        ("humanloop", "{{" + "a(" * 200_000),
        ("humanloop", "{{a(" + ", " * 200_000),
    ],
    ids=lambda value: value[:12],
)
def test_hostile_texts_take_linear_time(dialect: str, text: str) -> None:
    start = time.perf_counter()
    compile_template(text, dialect).render({}, [])
    assert time.perf_counter() - start < 10  # a quadratic scan takes minutes


VALUES = st.dictionaries(st.sampled_from(["a", "b", "a b", "", "{a", "é"]), st.none() | st.text() | st.integers())
TEXTS = st.lists(st.sampled_from(["{{", "}}", "{", "}", "a", " ", "b", "\n", "é", "#"])).map("".join) | st.text()


@given(TEXTS, VALUES)
def test_mustache_agrees_with_the_official_parser(text: str, values: dict[str, object]) -> None:
    template = compile_template(text, "mustache")
    assert template.render(values, None) == TemplateParser.compile_template(text, values)
    assert set(template.variables) <= set(TemplateParser.find_variable_names(text))


@given(TEXTS, st.sampled_from(DIALECTS[:2]))
def test_strict_and_kept_renderings_agree_when_nothing_is_missing(text: str, dialect: str) -> None:
    template = compile_template(text, dialect)
    values = dict.fromkeys(template.variables, "v")
    missing: list[str] = []
    assert template.render(values, missing) == template.render(values, None)
    assert missing == []


@given(st.text(), st.text(), st.sampled_from(DIALECTS))
def test_any_value_comes_out_as_it_went_in(first: str, second: str, dialect: str) -> None:
    assert strict("<{{ a }}|{{ b }}>", dialect, a=first, b=second) == (f"<{first}|{second}>", [])


@given(st.text().filter(lambda text: "{" not in text), st.sampled_from(DIALECTS))
def test_any_text_without_braces_renders_to_itself(text: str, dialect: str) -> None:
    assert strict(text, dialect, a="b") == (text, [])
