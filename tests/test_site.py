"""The documentation's site: what its build checks too, but needs no environment of its own, and what it can't know."""

import ast
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import llama_index.llms.promptwire
import pytest
import yaml

import langchain_promptwire
import promptwire
from docs.built import complaints

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


@pytest.mark.parametrize("package", [promptwire, langchain_promptwire, llama_index.llms.promptwire])
def test_every_public_name_is_in_the_reference(package: Any) -> None:
    reference = "".join(page.read_text("utf-8") for page in (DOCS / "reference").glob("*.md"))
    shown = set(re.findall(rf"^(?:::: |`){re.escape(package.__name__)}\.(\w+)", reference, re.MULTILINE))
    assert shown == set(package.__all__)


def test_llms_txt_lists_every_page() -> None:
    listed = re.findall(r"\]\(([\w/-]+)\.(?:md|html)\)", (DOCS / "llms.txt").read_text("utf-8"))
    assert sorted(listed) == sorted(page.removesuffix(".md") for page in navigated(CONFIG["nav"]))


def test_each_cell_of_the_comparison_says_how_it_was_checked() -> None:
    text = (DOCS / "comparison.md").read_text("utf-8")
    table, _, sources = text.partition("\n## ")
    cells = [cell.strip() for row in re.findall(r"^\| [^-].*$", table, re.MULTILINE) for cell in row.split(" | ")[1:]]
    plain = {"not checked", "your code's", "none of its own"}
    unsaid = [
        cell
        for cell in cells[6:]
        if cell.strip(" |") not in plain and not re.search(r"\([tbd]\d+(, [tbd]\d+)*\)", cell)
    ]
    assert unsaid == []
    cited = set(re.findall(r"\b[tbd]\d+\b", table))
    assert cited == set(re.findall(r"^\| ([tbd]\d+) \|", sources, re.MULTILINE))


def test_the_pages_load_nothing_from_another_host() -> None:
    assert CONFIG["theme"]["font"] is False
    assert not {"extra_css", "extra_javascript"} & set(CONFIG)
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
