import contextlib
import resource
import threading
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptwire.errors import TemplateError
from promptwire.templates import compile_template

DOCS = [{"t": "a", "n": 1, "k": "x"}, {"t": "é", "n": 60_000, "k": "y"}, {"t": "b", "n": 3, "k": "x"}]


class Colour(StrEnum):
    RED = "red"


class Account:
    token = "sk-hidden"

    def __str__(self) -> str:
        return "an account"


def render(text: str, /, **values: object) -> str:
    missing: list[str] = []
    rendered = compile_template(text, "jinja").render(values, missing)
    assert missing == []
    return rendered


def missing(text: str, /, **values: object) -> list[str]:
    names: list[str] = []
    compile_template(text, "jinja").render(values, names)
    return names


def keep(text: str, /, **values: object) -> str:
    return compile_template(text, "jinja").render(values, None)


def refusal(text: str, /, **values: object) -> str:
    with pytest.raises(TemplateError) as info:
        compile_template(text, "jinja", "files prompt 'p'").render(values, [])
    return str(info.value)


@pytest.mark.parametrize(
    ("text", "values", "expected"),
    [
        ("Hi {{ name }}!\n", {"name": "<Ann>"}, "Hi <Ann>!\n"),
        ("{# note #}{{ a }}-{{ none }}-{{ a is none }}", {"a": None}, "None-None-True"),
        ("{% for d in docs %}{{ loop.index }}/{{ loop.length }}{{ d.t }}{{ ',' if not loop.last }}{% endfor %}",
         {"docs": DOCS}, "1/3a,2/3é,3/3b"),
        ("{% for d in docs if d.n > 1 %}{{ d['t'] }}{% else %}none{% endfor %}", {"docs": DOCS}, "éb"),
        ("{% for d in [] %}{{ d }}{% else %}none{% endfor %}", {}, "none"),
        ("{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}{{ d.items }}", {"d": {"items": 5}}, "items=5;5"),
        ("{% for x in tree recursive %}<{{ x.n }}{{ loop(x.c) }}>{% endfor %}",
         {"tree": [{"n": 1, "c": [{"n": 2, "c": []}]}]}, "<1<2>>"),
        ("{% for i in [1, 1] %}{{ loop.cycle('a', 'b') }}{{ loop.changed(i) }}{% endfor %}",
         {}, "aTruebFalse"),
        ("{% for i in [1, 1] %}{{ loop.previtem is defined }}{{ loop.last }}{% endfor %}", {}, "FalseFalseTrueTrue"),
        ("{% macro m(a, b=2) %}[{{ a }}{{ b }}{{ caller() if caller }}]{% endmacro %}{{ m(1) }}", {}, "[12]"),
        ("{% macro m(a, b=2) %}[{{ a }}{{ b }}{{ caller() }}]{% endmacro %}{% call m(3, b=4) %}in{% endcall %}",
         {}, "[34in]"),
        ("{% set ns = namespace(n=none) %}{{ ns.n }}{% for i in [4] %}{% set ns.n = i %}{% endfor %}{{ ns.n }}",
         {}, "None4"),
        ("{% set a, b = pair %}{{ a ~ b ~ 1 }}{% set c %}<{{ a }}>{% endset %}{{ c }}", {"pair": (1, 2)}, "121<1>"),
        ("{% filter upper %}x{{ y }}{% endfilter %}{% with z = y %}{{ z }}{% endwith %}", {"y": "y"}, "XYy"),
        ("{{ docs|map(attribute='t')|join(', ') }}{{ docs|sum(attribute='n') }}", {"docs": DOCS}, "a, é, b60004"),
        ("{{ docs|selectattr('n', 'gt', 50000)|map('length')|list }}", {"docs": DOCS}, "[3]"),
        ("{% for g in docs|groupby('k') %}{{ g.grouper }}{{ g.list|length }}{% endfor %}", {"docs": DOCS}, "x2y1"),
        ("{{ docs|join('+', attribute='k') }}{{ [1, [2]]|string }}", {"docs": DOCS}, "x+y+x[1, [2]]"),
        ("{{ d|tojson }}{{ [1]|tojson(indent=1) }}", {"d": {"é": "<'>"}}, '{"é": "<\'>"}[\n 1\n]'),
        ("{{ '%.2f'|format(3.14159) }}{{ '%s-%s' % (1, 2) }}{{ '{:,}{a}'.format(1234, a=1) }}{{ 7 % 4 }}",
         {}, "3.141-21,23413"),
        ("{{ '%(a)s'|format(a=1) }}{{ 'x'|indent(2, first=true) }}{{ 'a\nb'|indent('>') }}", {}, "1  xa\n>b"),
        ("{{ x[1:3] }}{{ x[::-1] }}{{ [1, 2, 3][-1] }}{{ {'a': 1}['a'] }}{{ x[0] }}", {"x": "hello"}, "elolleh31h"),
        ("{{ x.upper() }}{{ x.split(',') }}{{ ','.join(['c', 'd']) }}{{ x.replace('a', 'z') }}{{ {'q': 1}.get('q') }}",
         {"x": "a,b"}, "A,B['a', 'b']c,dz,b1"),
        ("{{ x|replace('a', 'z') }}{{ x|trim|title|truncate(3, true, '') }}{{ 'x'|safe }}{{ '<'|e }}{{ -3|abs }}",
         {"x": "a,b"}, "z,bA,bx&lt;3"),
        ("{{ [3, 1]|sort }}{{ [1, 1]|unique|list }}{{ [1, 2, 3]|batch(2)|list }}{{ 1.26|round(1) }}{{ '7'|int }}",
         {}, "[1, 3][1][[1, 2], [3]]1.37"),
        ("{{ 1 < 2 < 3 }}{{ 3 < 2 }}{{ a in ['x'] }}{{ 'x' in 'xy' }}{{ 'z' not in {'q': 1} }}{{ [1] in [[1]] }}",
         {"a": "x"}, "TrueFalseTrueTrueTrueTrue"),
        ("{{ 4 is divisibleby 2 }}{{ 3 is odd }}{{ 3 is gt 2 }}{{ 2 is in [2] }}{{ 'a' is lower }}{{ a is string }}",
         {"a": "x"}, "TrueTrueTrueTrueTrueTrue"),
        ("{{ 7 // 2 }}{{ 2 ** 10 }}{{ +1 }}{{ 'ab' * 2 }}{{ [1] + [2] }}{{ 2 * [0] }}{{ 1 / 2 }}{{ not a or b and 1 }}",
         {"a": 1, "b": 2}, "310241abab[1, 2][0, 0]0.51"),
        ("{{ 'z' if a }}|{{ []|first }}|{{ dict(a=1).a }}|{{ 'q'|d('w') }}{{ ''|default('w', true) }}",
         {"a": 0}, "||1|qw"),
    ],
)  # fmt: skip
def test_what_prompts_use_of_jinja_works(text: str, values: dict[str, object], expected: str) -> None:
    assert render(text, **values) == expected


def test_values_come_as_json_like_copies() -> None:
    class Word(str):
        __slots__ = ()

    values: dict[str, Any] = {
        "word": Word("w"), "colour": Colour.RED, "count": type("Count", (int,), {})(3),
        "share": type("F", (float,), {})(0.5),
        "account": Account(), "map": MappingProxyType({1: "one", Colour.RED: 2, (1, 2): 3}), "pair": (1, [Account()]),
    }  # fmt: skip
    assert (
        render("{{ word }}{{ colour == 'red' }}{{ count + 1 }}{{ share }}{{ account }}", **values)
        == "wTrue40.5an account"
    )
    assert render("{{ map[1] }}{{ map.red }}{{ map['(1, 2)'] }}{{ pair }}", **values) == "one23(1, ['an account'])"
    assert missing("{{ account.token }}", **values) == ["account.token"]


def test_a_caller_s_lists_and_mappings_cannot_be_changed() -> None:
    docs = [1]
    assert "no method" in refusal("{{ docs.append(2) }}", docs=docs)
    assert docs == [1]


def test_undeclared_names_are_missing_together_in_their_order() -> None:
    template = compile_template(
        "{{ z if c else a }}{% if b is defined %}{{ b }}{% endif %}{{ d|default(1) }}{{ z }}", "jinja"
    )
    assert template.variables == ("z", "c", "a", "b", "d")
    names = ["a"]
    template.render({}, names)
    assert names == ["a", "z", "c"]


def test_a_guarded_name_is_missing_where_the_guard_does_not_reach() -> None:
    assert missing("{{ x|default('y') }}") == []
    assert missing("{{ x|default('y') }}{{ x }}") == ["x"]
    assert missing("{% if x is undefined %}none{% endif %}") == []
    assert missing("{% if on %}{% set x = 1 %}{% endif %}{{ x }}", on=True) == []
    assert missing("{% if on %}{% set x = 1 %}{% endif %}{{ x }}", on=False) == ["x"]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("{{ u.name }}{{ u['x'].y }}{{ docs[5].t }}{{ u[key] }}", ["u.name", "u.x", "docs[5]", "u[...]"]),
        ("{% for d in docs %}{{ d.q }}{% endfor %}", ["d.q"]),
        ("{{ docs|map(attribute='q.r')|join }}", ["q"]),
        ("{{ [u]|map(attribute=key)|list }}", ["an item of a variable"]),
        ("{{ (docs|first).q }}{{ key.real }}{{ {'a': 1}.b }}", ["(...).q", "key.real", "(...).b"]),
        ("{% for x in u.list %}{% endfor %}{% if u.flag %}{% endif %}{{ 'a' if u.test }}",
         ["u.list", "u.flag", "u.test"]),
        ("{{ u.a + 1 }}{{ -u.b }}{{ u.c ~ 1 }}{{ u.d == 1 }}{{ u.e|upper }}", ["u.a", "u.b", "u.c", "u.d", "u.e"]),
        ("{{ key|replace(u.a, 'b') }}{{ u.b[1:] }}{{ u[u.c] }}{{ {u.e: 1} }}", ["u.a", "u.b", "u.c", "u.e"]),
        ("{{ u.b.strip() }}{{ key.strip(u.c) }}{{ range(u.d) }}{{ u.e is odd }}", ["u.b", "u.c", "u.d", "u.e"]),
        ("{{ [u.a] }}{{ nobody() }}{{ nobody.x }}{{ 1 / 0 }}", ["nobody", "u.a"]),
    ],
)  # fmt: skip
def test_missing_items_are_named_by_their_path(text: str, names: list[str]) -> None:
    assert missing(text, u={}, docs=DOCS, key="SECRET") == names


def test_keep_mode_leaves_absent_names_as_text() -> None:
    assert keep("Hi {{ name }}, {{ u.x }}!", u={}) == "Hi {{ name }}, {{ u.x }}!"
    assert keep("{{ name|upper }} {{ name ~ 1 }} {{ 1 + name }} {{ name.x.y }} {{ name() }}") == (
        "{{ name }} {{ name }}1 {{ name }} {{ name }} "
    )
    assert keep(
        "{% for x in name %}x{% endfor %}{% if name %}x{% endif %}{{ name == 1 }}{{ name != 1 }}{{ name < 1 }}"
    ) == ("FalseTrueFalse")
    assert keep("{{ a }}", a="{{ a }}") == "{{ a }}"


HARMLESS = {
    "{{ cycler(1) }}{{ lipsum(5) }}{{ joiner('a') }}{{ config.secret }}": ["cycler", "lipsum", "joiner", "config"],
    "{{ x.upper.__self__ }}": ["x.upper"],
    "{{ x.format }}{{ x.join.y }}": ["x.format", "x.join"],
    "{% macro m() %}{{ caller() }}{% endmacro %}{% call m() %}{{ m() }}{% endcall %}": [],
    "{{ x if x }}{{ x|default(99999999999) }}{{ 9 ** 9 ** 9 }}": [],
}


@pytest.mark.parametrize("text", HARMLESS, ids=str)
def test_an_attack_finds_nothing(text: str) -> None:
    assert missing(text, x="v") == HARMLESS[text]


def test_nothing_is_folded_at_compile_time() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for folded in (
        "'a' * 300000000",
        "'a'|center(300000000)",
        "('a' * 300000000)|length",
        "'%300000000d' % 1",
        "10 ** 9 * 'a' ~ 1",
    ):
        compile_template(f"{{{{ {folded} }}}}{{% if {folded} %}}{{% endif %}}{{% set b = {folded} %}}", "jinja")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


def test_values_are_bounded_too() -> None:
    nest: list[object] = []
    for _ in range(200):
        nest = [nest]
    assert "nested more than" in refusal("{{ x }}", x=nest)
    assert "bits" in refusal("{{ x }}", x=10**5000)


def test_a_mapping_is_made_of_pairs_as_of_a_mapping() -> None:
    """Its keys are what is charged for: only numbers can be chosen so that they collide."""
    texts, numbers = {f"k{number}": number for number in range(3000)}, {number: number for number in range(3000)}
    for made in ("dict(x)", "dict(x.items())", "dict(x.items() | list)"):
        assert render(f"{{{{ {made} | length }}}}", x=texts) == "3000"
        assert "more than 100,000 steps" in refusal(f"{{{{ {made} | length }}}}", x=numbers)
    assert render("{{ dict(['ab', {'c': 1, 'd': 2}]) }}") == "{'a': 'b', 'c': 'd'}"
    for pairs in ("[3]", "['']", "'ab'"):
        assert "it fails with" in refusal(f"{{{{ dict({pairs}) }}}}")


def test_an_error_says_where_and_why_but_no_value() -> None:
    assert refusal("\n\n{{ x + 1 }}", x="SECRET") == "files prompt 'p', line 3: it fails with TypeError"
    assert refusal("\n{% for i in x %}").startswith("files prompt 'p', line 2: ")
    assert refusal("{{ x|float(1, 2, 3) }}", x="SECRET") == "files prompt 'p', line 1: it fails with TypeError"
    assert (
        refusal("a\n{% autoescape true %}{% endautoescape %}")
        == "files prompt 'p', line 2: 'autoescape' is not available"
    )
    assert refusal("{{ x }}", x=10**5000).startswith("files prompt 'p': ")
    assert refusal("{{ " + "1" * 20_000 + " }}") == "files prompt 'p', line 1: a number is too large"
    assert refusal("{{ " + "not " * 9000 + "x }}") == "files prompt 'p': it is nested too deeply"


def test_depth_is_bounded_before_python_bounds_it() -> None:
    assert "call each other" in refusal("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}")
    assert "brackets" in refusal("{{ " + "(" * 100 + ")" * 100 + " }}")


def test_threads_share_a_template_but_not_its_budget() -> None:
    template = compile_template("{% for i in range(n) %}{{ i }} {% endfor %}{{ who }}", "jinja")
    results: dict[int, str] = {}
    barrier = threading.Barrier(4)

    def work(number: int) -> None:
        barrier.wait(timeout=30)
        for _ in range(2):
            results[number] = template.render({"n": 9000, "who": number}, [])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert {number: text.split()[-1] for number, text in results.items()} == {
        number: str(number) for number in range(4)
    }


PIECES = (
    "{{ }} {% %} {# #} x 'a' 1 99999 * ** ~ + % . [ ] ( ) | upper join list map range for i in if else endif endfor "
    "set = == loop macro m endmacro call namespace is defined , : { } format 'x%s' None - not and or"
)


@given(st.lists(st.sampled_from(PIECES.split()), max_size=25).map(" ".join))
def test_any_text_renders_or_ends_in_a_template_error(text: str) -> None:
    values = {"x": "v", "m": [1, {"a": 2}]}
    with contextlib.suppress(TemplateError):
        template = compile_template(text, "jinja")
        with contextlib.suppress(TemplateError):
            template.render(values, [])
        template.render(values, None)
