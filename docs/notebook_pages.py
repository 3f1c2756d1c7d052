"""Runs the notebooks on doubles, and writes them with what they displayed to docs/notebooks/."""

import asyncio
import base64
import itertools
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "notebooks"
PAGES = ROOT / "docs" / "notebooks"
AT_ONCE = 2
KEYS = ("LANGFUSE_", "OPENAI_", "HUMANLOOP_", "PROMPTWIRE_")
_ANSI = re.compile(r"\x1b\[[\d;]*m")
_STYLE = re.compile(r"<style>.*?</style>", re.DOTALL)


def found() -> list[Path]:
    return sorted(FOLDER.glob("*.ipynb"))


def environment(room: str) -> dict[str, str]:
    """The process's, without any key, with the project's programs, and with its temporary files in ``room``."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith(KEYS)}
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**bare, "PATH": programs, "IPYTHONDIR": room, "TMPDIR": room, "COLUMNS": "100"}


async def executed(path: Path, **keys: str) -> Any:
    """The notebook with its outputs, run in its folder; ``keys`` are added to the environment."""
    notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    with tempfile.TemporaryDirectory() as room:
        client = NotebookClient(
            notebook,
            timeout=60,
            resources={"metadata": {"path": str(path.parent)}},
            extra_arguments=["--log-level=ERROR"],  # else it says that loopback isn't encrypted
        )
        return await client.async_execute(env=environment(room) | keys)


def page(notebook: Any, name: str, pictures: Path) -> str:
    """Markdown, and its pictures in files beside it."""
    numbers = iter(range(1, 100))
    parts: list[str] = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            parts.append(_relinked(cell.source))
            continue
        parts.append(_fenced(cell.source))
        for output in _joined(cell.outputs):
            parts += _shown(output, name, numbers, pictures)
    return _styled_once("\n\n".join(parts)) + "\n"


def _relinked(source: str) -> str:
    """Links lead to pages: notebooks and pages are one folder further apart."""
    return source.replace("](../docs/", "](../").replace(".ipynb)", ".md)")


def _joined(outputs: Iterable[Any]) -> Iterable[Any]:
    """A kernel tells of a text in pieces."""
    streams = itertools.groupby(outputs, key=lambda output: output.get("name") or id(output))
    for _, (first, *rest) in streams:
        yield {**first, "text": "".join(output["text"] for output in (first, *rest))} if rest else first


def _shown(output: Any, name: str, numbers: Iterator[int], pictures: Path) -> Iterable[str]:
    data: Mapping[str, str] = output.get("data") or {"text/plain": output.get("text", "")}
    if "text/html" in data:
        yield f'<div class="output">{_flat(data["text/html"])}</div>'
    elif "image/png" in data:
        picture = pictures / f"{name}-{next(numbers)}.png"
        picture.write_bytes(base64.b64decode(data["image/png"]))
        yield f"![What the cell above draws]({picture.name})"
    elif text := _ANSI.sub("", data["text/plain"]).strip("\n"):
        yield f'<div class="promptwire"><pre class="pw-text">{_flat(escape(text))}</pre></div>'


def _flat(html: str) -> str:
    """On one line, so that nothing in it ends the block that Markdown leaves alone; frames dressed by the site."""
    frame = re.compile(r'<style scoped>.*?</style>|(?<=<table) border="1" class="dataframe"', re.DOTALL)
    parts = re.split(r"(<style.*?</style>)", frame.sub("", html.strip()), flags=re.DOTALL)
    return "".join(
        re.sub(r"\s*\n\s*", " ", part) if part.startswith("<style") else re.sub(r"\r?\n", "&#10;", part)
        for part in parts
    )


def _styled_once(text: str) -> str:
    """Each output brings the displays' stylesheet; a page needs it once."""
    seen: set[str] = set()

    def first(match: re.Match[str]) -> str:
        repeated = match[0] in seen
        seen.add(match[0])
        return "" if repeated else match[0]

    return _STYLE.sub(first, text)


def _fenced(source: str) -> str:
    longest = max(map(len, re.findall("`+", source)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}python\n{source}\n{fence}"


async def write(folder: Path = PAGES) -> None:
    """All notebooks, so many at once."""
    free = asyncio.Semaphore(AT_ONCE)

    async def one(path: Path) -> None:
        async with free:
            notebook = await executed(path)
        (folder / f"{path.stem}.md").write_text(page(notebook, path.stem, folder), "utf-8")

    await asyncio.gather(*map(one, found()))


if __name__ == "__main__":
    shutil.rmtree(PAGES, ignore_errors=True)
    PAGES.mkdir()
    asyncio.run(write())
