import contextlib
import json
import resource
import subprocess
import sys
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
DOUBLING = "{% set a = ['xxxxxxxx'] %}" + "{% set a = [a, a, a, a, a, a, a, a, a, a] %}" * 12


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


ATTACKS = {
    "class": "{{ ''.__class__.__mro__ }}",
    "class item": "{{ x['__class__'] }}",
    "class by filter": "{{ x|attr('__class__') }}",
    "class by map": "{{ [x]|map(attribute='__class__')|list }}",
    "class by groupby": "{{ [x]|groupby('__class__') }}",
    "globals of a macro": "{% macro m() %}{% endmacro %}{{ m.__globals__ }}",
    "namespace's dict": "{{ namespace(a=1).__dict__ }}",
    "loop's internals": "{% for i in [1] %}{{ loop.__init__ }}{% endfor %}",
    "self": "{{ self }}",
    "a function as text": "{{ range }}",
    "a loop as text": "{% for i in [1] %}{{ loop }}{% endfor %}",
    "a namespace in itself": "{% set n = namespace() %}{% set n.n = [n] %}{{ n.n }}",
    "format to an attribute": "{{ '{0.__class__}'.format(x) }}",
    "format to an item": "{{ '{0[0]}'.format(x) }}",
    "format nested": "{{ '{:{}}'.format(x, 9) }}",
    "format wide": "{{ '{:>1000000000}'.format(1) }}",
    "format_map": "{{ '{a}'.format_map({'a': 1}) }}",
    "percent wide": "{{ '%1000000000d' % 1 }}",
    "percent precise": "{{ '%.1000000000f'|format(1) }}",
    "percent starred": "{{ '%*d' % (1000000000, 1) }}",
    "percent with a nested key": "{{ '%(a(b))1000000000d' % {'a(b)': 1} }}",
    "percent in a test": "{{ '%1000000000d' is even }}",
    "percent in divisibleby": "{{ '%1000000000d' is divisibleby 3 }}",
    "percent repeated": "{% set b = 'x' * 500000 %}{{ ('%(a)s' * 5000) % {'a': b} }}",
    "braces repeated": "{% set b = 'x' * 500000 %}{{ ('{0}' * 3000).format(b) }}",
    "text times": "{{ 'a' * 300000000 }}",
    "times text": "{{ 300000000 * 'a' }}",
    "list times": "{{ [0] * 10 ** 9 }}",
    "text doubled": "{% set n = namespace(s='a') %}{% for i in range(40) %}{% set n.s = n.s + n.s %}{% endfor %}",
    "text joined": "{% set n = namespace(s='a' * 1000) %}{% for i in range(40) %}{% set n.s = n.s ~ n.s %}{% endfor %}",
    "block doubled": "{% set s = 'a' * 1000 %}" + "{% set s %}{{ s }}{{ s }}{% endset %}" * 40,
    "join": "{{ range(90000)|join('a' * 90000) }}",
    "join shared": "{{ (['a' * 1000000] * 1000)|join }}",
    "str.join of a list": "{{ ('b' * 900000).join(range(2000)|map('string')|list) }}",
    "str.join": "{{ ('a' * 90000).join('b' * 90000) }}",
    "replace": "{{ ('a' * 60000)|replace('a', 'b' * 60000) }}",
    "str.replace": "{{ ('a' * 60000).replace('', 'b' * 60000) }}",
    "strip": "{{ ('a' * 1000000).strip('b' * 1000000) }}",
    "list searched": "{% set s = [1] * 90000 %}{% for i in range(9000) %}{{ s.count(2) }}{% endfor %}",
    "list of long numbers": "{{ ([7 ** 1300] * 250000)|upper }}",
    "power": "{{ 9 ** (9 ** 9) }}",
    "power of a power": "{{ ((9 ** 999) ** 999) }}",
    "product of integers": "{% set n = namespace(i=2) %}{% for i in range(99) %}{% set n.i = n.i * n.i %}{% endfor %}",
    "complex": "{{ (-8) ** 0.5 }}",
    "float overflow": "{{ 2.0 ** 99999 }}",
    "literal overflow": "{{ 1e999 }}",
    "literal of 3000 digits": "{{ 1" + "0" * 3000 + " }}",
    "literal of 5000 digits": "{{ 1" + "0" * 5000 + " }}",
    "center": "{{ x|center(1000000000) }}",
    "indent": "{{ x|indent(1000000000, true) }}",
    "indent by text": "{{ ('\\n' * 90000)|indent('b' * 90000, true) }}",
    "steps refunded": "{{ x|indent(-9 ** 15) }}{% for i in range(90000) %}{{ i }}{% endfor %}",
    "tojson indented": "{{ [1]|tojson(indent=1000000000) }}",
    "wordwrap": "{{ x|wordwrap(1, wrapstring=x) }}",
    "round": "{{ 'a'|round(9, 'ceil') }}",
    "round precisely": "{{ 1.5|round(1000000000, 'ceil') }}",
    "slice": "{{ [1]|slice(1000000000)|list }}",
    "batch": "{{ [1]|batch(1000000000, 0)|list }}",
    "range": "{{ range(1000000000) }}",
    "range beyond an index": "{{ range(10 ** 30) }}",
    "nested loops": "{% for i in range(90000) %}{% for j in range(90000) %}{% endfor %}{% endfor %}",
    "filtered loops": "{% set r = range(90000) %}{% for i in r %}{% for j in r if false %}{% endfor %}{% endfor %}",
    "loop of literals": "{% for i in range(90000) %}" + "{% set a = [1, 2, 3] %}" * 500 + "{% endfor %}",
    "block of literals": "{% macro m() %}{% for i in range(15000) %}{{ caller() }}{% endfor %}{% endmacro %}"
    "{% call m() %}" + "{% set a = [1, 2, 3] %}" * 500 + "{% endcall %}",
    "loop of text": "{% for i in range(90000) %}" + "text " * 5000 + "{% endfor %}",
    "loop of text in a buffer": "{% set s %}{% for i in range(50000) %}" + "text " * 5000 + "{% endfor %}{% endset %}",
    "endless macro": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "exponential macro": "{% macro m(n) %}{{ m(n - 1) ~ m(n - 1) if n }}{% endmacro %}{{ m(40) }}",
    "endless recursive loop": "{% for i in [1] recursive %}{{ loop([i]) }}{% endfor %}",
    "shared list as text": DOUBLING + "{{ a }}",
    "shared list compared": DOUBLING + "{{ a == [a] }}",
    "shared list found": DOUBLING + "{{ a in [a] }}",
    "shared list as json": DOUBLING + "{{ a|tojson }}",
    "shared list as key": DOUBLING.replace("[", "(").replace("]", ",)") + "{{ {a: 1} }}",
    "shared list in a set": DOUBLING.replace("[", "(").replace("]", ",)") + "{{ [a]|unique|list }}",
    "shared list in lower": DOUBLING + "{{ a is lower }}",
    "deep data": "{% set n = namespace(a=1) %}{% for i in range(5000) %}{% set n.a = [n.a] %}{% endfor %}{{ n.a }}",
    "hook by name": "{{ [-1000000]|map('$enter')|list }}",
    "filter by a value": "{{ [x]|map(x)|list }}",
    "test by a value": "{{ [x]|select(x)|list }}",
    "spread": "{{ dict(*range(90000)) }}",
    "spread names": "{{ [1]|join(**{'d': 1}) }}",
    "include": "{% include '/etc/passwd' %}",
    "import": "{% import 'os' as os %}",
    "from import": "{% from 'os' import path %}",
    "extends": "{% extends 'x' %}",
    "block": "{% block b %}{% endblock %}",
    "autoescape folding": "{% autoescape 'a' * 300000000 %}{% endautoescape %}",
    "do": "{% do x.append(1) %}",
    "brackets": "{{ " + "(" * 5000 + ")" * 5000 + " }}",
    "nots": "{{ " + "not " * 20000 + "x }}",
    "ifs": "{% if x %}" * 5000 + "{% endif %}" * 5000,
    "loops in loops": "{% for i in [1] %}" * 30 + "{% endfor %}" * 30,
    "sums": "{{ 1" + " + 1" * 5000 + " }}",
    "attributes": "{{ x" + ".a" * 5000 + " }}",
    "many tags": "{{ x }}" * 100_000,
    "long output": "{% set a = 'a' * 300000 %}{{ a }}{{ a }}{{ a }}{{ a }}",
    "long text": "{#" + "a" * 1_000_001 + "#}{{ 1 }}",
    "test of a text": "{{ 1 in 2 }}",
    "slice of a number": "{{ (1)[1:] }}",
    "iteration of a number": "{% for i in 5 %}{% endfor %}",
    "call of a text": "{{ x() }}",
    "division": "{{ 1 / 0 }}",
    "unknown filter in a branch": "{% if false %}{{ x|nothing }}{% endif %}",
    "unknown test": "{{ x is nothing }}",
    "unclosed": "{{ x",
    "two of one keyword": "{{ dict(a=1, a=2) }}",
}  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_an_attack_ends_in_a_template_error(attack: str) -> None:
    message = refusal(ATTACKS[attack], x="SECRET")
    assert message.startswith("files prompt 'p'")
    assert "SECRET" not in message


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


def test_all_attacks_together_stay_within_bounded_memory() -> None:
    code = (
        "import json, resource, sys\n"
        "from promptwire.errors import TemplateError\n"
        "from promptwire.templates import compile_template\n"
        "resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))\n"
        "refused = 0\n"
        "for text in json.load(sys.stdin):\n"
        "    try:\n"
        "        compile_template(text, 'jinja').render({'x': 'SECRET'}, [])\n"
        "    except TemplateError as error:\n"
        "        assert 'MemoryError' not in str(error), text[:200]\n"
        "        refused += 1\n"
        # ru_maxrss is inherited from the process that forks; the high-water mark in /proc is not.
        "if sys.platform == 'linux':\n"
        "    print(refused, next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))\n"
        "else:\n"
        "    print(refused, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps(list(ATTACKS.values())), capture_output=True, text=True, timeout=100, check=True,
    )  # fmt: skip
    refused, peak = map(int, done.stdout.split())
    assert refused == len(ATTACKS)
    assert peak < 400_000 * (1024 if sys.platform == "darwin" else 1)


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


def test_an_error_says_where_and_why_but_no_value() -> None:
    assert refusal("\n\n{{ x + 1 }}", x="SECRET") == "files prompt 'p', line 3: it fails with TypeError"
    assert refusal("\n{% for i in x %}").startswith("files prompt 'p', line 2: ")
    assert refusal("{{ x|float(1, 2, 3) }}", x="SECRET") == "files prompt 'p', line 1: it fails with TypeError"
    assert (
        refusal("a\n{% autoescape true %}{% endautoescape %}")
        == "files prompt 'p', line 2: 'autoescape' is not available"
    )
    assert refusal("{{ x }}", x=10**5000).startswith("files prompt 'p': ")
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
