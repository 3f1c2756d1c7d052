"""The documentation's site: what its build checks too, but needs no environment of its own, and what it can't know."""

import ast
import inspect
import re
import subprocess
import sys
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import llama_index.llms.promptwire
import pytest
import yaml

import langchain_promptwire
import promptwire
from docs.built import complaints
from promptwire.catalog import HistoryOptions, PushOptions
from promptwire.comparison import CompareOptions
from promptwire.gateway.parameters import OPENAI_PARAMS, CompletionOptions
from promptwire.search import FindOptions, ResolveOptions

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
CONFIG: dict[str, Any] = yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))  # docs/notebooks/ is made of them
PAGES = sorted(page for page in DOCS.rglob("*.md") if page.parent.name != "notebooks")
READMES = [ROOT / "README.md", *sorted(ROOT.glob("integrations/*/README.md"))]
LINKING = [*PAGES, *READMES, DOCS / "llms.txt"]
FENCE = re.compile(r"^(`{3,}).*?^\1`*$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def navigated(entry: Any) -> Iterator[str]:
    """The pages of a navigation, sections and all."""
    if isinstance(entry, str):
        yield entry
    for inner in entry.values() if isinstance(entry, dict) else entry if isinstance(entry, list) else ():
        yield from navigated(inner)


def anchors(page: Path) -> set[str]:
    """The ids that Python-Markdown gives a page's headings, which differ from each other."""
    found = set()
    for heading in re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text("utf-8")), re.MULTILINE):
        plain = unicodedata.normalize("NFKD", re.sub(r"[`*]", "", heading)).encode("ascii", "ignore").decode()
        found.add(re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", plain).strip().lower()))
    return found


def broken(page: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = page.parent / path if path else page
    if page.name == "llms.txt":
        target = target.with_suffix(".md")
    if target.parent == DOCS / "notebooks":
        target = ROOT / "notebooks" / f"{target.stem}.ipynb"
    return not target.exists() or (bool(anchor) and anchor not in anchors(target))


def test_every_page_is_in_the_navigation_once() -> None:
    pages = sorted(navigated(CONFIG["nav"]))
    made = [f"notebooks/{notebook.stem}.md" for notebook in NOTEBOOKS]
    assert pages == sorted([*made, *(page.relative_to(DOCS).as_posix() for page in PAGES)])


@pytest.mark.parametrize("page", LINKING, ids=named)
def test_every_internal_link_and_anchor_resolves(page: Path) -> None:
    links = LINK.findall(FENCE.sub("", page.read_text("utf-8")))
    assert [link for link in links if "://" not in link and broken(page, link)] == []


def test_a_link_or_an_anchor_that_leads_nowhere_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# One `two`, three\n```\n# no heading\n```\n")
    links = ["page.md", "#one-two-three", "page.md#one-two-three", "other.md", "#no-heading", "page.md#four"]
    assert [link for link in links if broken(page, link)] == ["other.md", "#no-heading", "page.md#four"]


def test_every_test_that_a_page_names_exists() -> None:
    folders = [ROOT / "tests", *ROOT.glob("integrations/*/tests")]
    there = {
        node.name
        for folder in folders
        for file in folder.rglob("test_*.py")
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    for page in PAGES:
        assert set(re.findall(r"`(test_\w+)`", page.read_text("utf-8"))) - there == set(), page.name


def test_each_line_of_who_may_do_what_names_its_test() -> None:
    rows = [row for row in (DOCS / "security.md").read_text("utf-8").splitlines() if row.startswith("| ")]
    lines = [row for row in rows if not row.startswith("| they try to")]
    assert len(lines) > 30
    assert [line for line in lines if not re.search(r"\| `test_\w+`(, `test_\w+`)* \|$", line)] == []


PACKAGES = [promptwire, langchain_promptwire, llama_index.llms.promptwire]
REFERENCE = "".join(page.read_text("utf-8") for page in sorted((DOCS / "reference").glob("*.md")))


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_in_the_reference(package: Any) -> None:
    shown = set(re.findall(rf"^(?:::: |`){re.escape(package.__name__)}\.(\w+)(?![\w.])", REFERENCE, re.MULTILINE))
    assert shown == set(package.__all__)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_and_method_says_what_it_is(package: Any) -> None:
    things = {name: getattr(package, name) for name in package.__all__ if name != "__version__"}
    for name, thing in list(things.items()):
        if inspect.isclass(thing) and thing.__module__.startswith("promptwire."):
            methods = inspect.getmembers(thing, inspect.isfunction)
            things |= {f"{name}.{method}": own for method, own in methods if not method.startswith("_")}
    assert [name for name, thing in things.items() if len((thing.__doc__ or "").split()) < 5] == []


@pytest.mark.parametrize(
    ("function", "options"),
    [
        (promptwire.resolve, ResolveOptions.__annotations__),
        (promptwire.get_prompt, FindOptions.__annotations__),
        (promptwire.Resolver.get_prompt, FindOptions.__annotations__),
        (promptwire.Resolver.history, HistoryOptions.__annotations__),
        (promptwire.Resolver.push, PushOptions.__annotations__),
        (promptwire.completion, set(CompletionOptions.__annotations__) - OPENAI_PARAMS),
        (promptwire.acompare, set(CompareOptions.__annotations__) - set(CompletionOptions.__annotations__)),
    ],
)
def test_what_a_signature_hides_the_docstring_names(function: Any, options: Iterable[str]) -> None:
    said = set(re.findall(r"\w+", function.__doc__)) | set(inspect.signature(function).parameters)
    assert set(options) - said == set()


def test_what_the_pages_import_is_in_the_reference() -> None:
    shown = set(re.findall(r"^::: ([\w.]+)$", REFERENCE, re.MULTILINE))
    for page in [*PAGES, *READMES]:
        for module, names in re.findall(
            r"^ *from (promptwire[\w.]*) import (.+)$", page.read_text("utf-8"), re.MULTILINE
        ):
            assert {f"{module}.{name}" for name in names.split(", ")} - shown == set(), page.name


def test_llms_txt_lists_every_page() -> None:
    listed = re.findall(r"\]\(([\w/-]+)\.(?:md|html)\)", (DOCS / "llms.txt").read_text("utf-8"))
    assert sorted(listed) == sorted(page.removesuffix(".md") for page in navigated(CONFIG["nav"]))


COMPARISON = (DOCS / "comparison.md").read_text("utf-8")


def test_each_cell_of_the_comparison_says_how_it_was_checked() -> None:
    table = COMPARISON.partition("\n## ")[0]
    rows = re.findall(r"^\| [^-].*$", table, re.MULTILINE)
    cells = [cell.strip(" |") for row in rows for cell in row.split(" | ")[1:]]
    said = re.compile(r"\([bcdt]\d+(, [bcdt]\d+)*\)")
    assert len(cells) > 80
    assert [cell for cell in cells[5:] if cell not in {"\u2013", "your code's"} and not said.search(cell)] == []
    cited = {key for keys in said.finditer(COMPARISON) for key in re.findall(r"\w\d+", keys[0])}
    listed = re.findall(r"^\| ([bcdt]\d+) \|", COMPARISON, re.MULTILINE)
    assert sorted(listed) == sorted(cited)


def test_each_run_that_the_comparison_names_is_one_of_the_scripts() -> None:
    runs = re.findall(r'yield "(c\d+)"', (DOCS / "peers.py").read_text("utf-8"))
    assert set(runs) == set(re.findall(r"^\| (c\d+) \|", COMPARISON, re.MULTILINE))


@pytest.mark.parametrize("peer", ["langfuse", "langsmith"])
def test_what_the_comparison_says_of_a_peer_holds(peer: str) -> None:
    if peer == "langsmith":
        pytest.importorskip("langsmith.prompt_cache", reason="langsmith before 0.7 has no cache")
    ran = subprocess.run([sys.executable, DOCS / "peers.py", peer], capture_output=True, text=True, check=False)
    assert (ran.returncode, "holds" in ran.stdout, "DOES NOT" in ran.stdout) == (0, True, False), ran.stderr


# What a page quotes of benchmarks/results.md: its words, and the line and column of each number in them.
QUOTED = [
    ("README.md", "text {}, chat {}", ("text, 3 variables", "ratio"), ("chat, and a history", "ratio")),
    ("README.md", "{} ({} MB)", ("memory of 5000 prompts", "ratio"), ("memory of 5000 prompts", "ours")),
    (
        "README.md",
        "{}; {} | `completion`",
        ("completion() vs httpx POST", "ratio"),
        ("completion() vs LiteLLM", "ratio"),
    ),
    (
        "README.md",
        "{}; {} | `acompletion`",
        ("acompletion() vs aiohttp", "ratio"),
        ("acompletion() vs LiteLLM", "ratio"),
    ),
    ("README.md", "{}; {} | `langchain`", ("ChatPromptwire() vs ChatOpenAI", "ratio"), ("… vs ChatLiteLLM", "ratio")),
    (
        "README.md",
        "{}; {} | `llamaindex`",
        ("Promptwire vs OpenAI", "ratio"),
        ("Promptwire vs LlamaIndex LiteLLM", "ratio"),
    ),
    ("README.md", "{} | `proxy`", ("requests, 20 at once", "ratio")),
    (
        "README.md",
        "time {}, memory {};",
        ("import vs langfuse: time", "ratio"),
        ("import vs langfuse: memory", "ratio"),
    ),
    ("README.md", "; time {}, ", ("first prompt vs langfuse: time", "ratio")),
    ("README.md", "memory {} | `imports`", ("first prompt vs langfuse: memory", "ratio")),
    ("README.md", "(the SDK: {}) | {} |", ("200 threads: requests", "peer"), ("200 threads: requests", "ours")),
    ("README.md", "(the SDK: {} s; {} s)", ("500: first call", "peer"), ("500: the next two", "peer")),
    ("README.md", "| {} ms; {} µs | `outage`", ("500: first call", "ours"), ("500: the next two", "ours")),
    ("docs/comparison.md", "| {} µs | {} µs: Lang", ("text, 3 variables", "ours"), ("text, 3 variables", "peer")),
    (
        "docs/comparison.md",
        "| {} µs | {} ms: Lite",
        ("completion() vs LiteLLM", "ours"),
        ("completion() vs LiteLLM", "peer"),
    ),
    ("docs/comparison.md", "| {} | {}: Lang", ("200 threads: requests", "ours"), ("200 threads: requests", "peer")),
    ("docs/comparison.md", "| {} ms | {} s: Lang", ("500: first call", "ours"), ("500: first call", "peer")),
    ("docs/comparison.md", "| {} µs | {} s: Lang", ("500: the next two", "ours"), ("500: the next two", "peer")),
]


def measured(line: str, column: str) -> str:
    """A number of the results, of two digits but for counts."""
    rows = (ROOT / "benchmarks" / "results.md").read_text("utf-8").splitlines()
    [row] = [row for row in rows if row.startswith(f"| {line} |")]
    number = row.split(" | ")[("ours", "peer", "ratio").index(column) + 1].split()[0]
    value = float(number)
    return number if number.isdecimal() or value >= 100 else f"{value:#.2g}".rstrip(".")


@pytest.mark.parametrize("quoted", QUOTED, ids=lambda quoted: quoted[1])
def test_each_number_that_is_quoted_is_one_of_the_results(quoted: tuple[Any, ...]) -> None:
    page, words, *numbers = quoted
    said = words.format(*(measured(*number) for number in numbers))
    assert said in (ROOT / page).read_text("utf-8")


def test_the_pages_load_nothing_from_another_host() -> None:
    assert CONFIG["theme"]["font"] is False
    own = [*CONFIG["extra_css"], *CONFIG["extra_javascript"]]
    assert [name for name in own if not (DOCS / name).is_file()] == []
    assert [
        name for name in own if re.search(r"//|url\(|import", (DOCS / name).read_text("utf-8").partition("\n")[2])
    ] == []
    for page in PAGES:
        assert re.findall(r"!\[[^]]*\]\(\w+:|<(?:script|iframe|img|link)\b", page.read_text("utf-8")) == [], page.name


def test_the_check_of_the_built_site_finds_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "index.html").write_text(
        '<link rel="canonical" href="https://here.example"><h1 id="a">A</h1><a href="sub/#b">b</a> <a href="#a">a</a>'
        '<a href="https://x.example">x</a><a href="sub/none.html">n</a><a href="#c">c</a>'
        '<script src="https://x.example/x.js"></script><img src="none.svg">'
    )
    (tmp_path / "sub" / "index.html").write_text('<h2 id="b">B</h2><a href="../index.html#a">a</a>')
    assert list(complaints(tmp_path)) == [
        "index.html loads https://x.example/x.js",
        "index.html links to sub/none.html, which is not there",
        "index.html links to #c, which is not there",
        "index.html links to none.svg, which is not there",
    ]
