"""The notebooks: bare in git, run from their top, and told by what they displayed."""

import asyncio
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest

from docs.notebook_pages import FOLDER, executed, found, page
from promptwire.testing import FakeLangfuse, FakeOpenAI

ROOT = FOLDER.parent
NAMES = [path.stem for path in found()]
LINK = re.compile(r"\]\(([^)\s#]+)(?:#[^)\s]*)?\)")


def read(name: str) -> dict[str, Any]:
    made: dict[str, Any] = json.loads((FOLDER / f"{name}.ipynb").read_text("utf-8"))
    return made


def complaints(notebook: dict[str, Any]) -> list[str]:
    """What of a run is in it."""
    told = [] if notebook["metadata"].keys() == {"kernelspec", "language_info"} else ["metadata of the notebook"]
    for cell in notebook["cells"]:
        name = cell["id"]
        told += [f"{name}: metadata"] if cell["metadata"] else []
        told += [f"{name}: outputs"] if cell.get("outputs") else []
        told += [f"{name}: a number"] if cell.get("execution_count") is not None else []
        told += [f"{name}: no name of its own"] if not re.fullmatch(r"[a-z-]+", name) else []
    return told


def test_there_are_six() -> None:
    assert NAMES == [
        "1-first-prompt", "2-langchain", "3-llamaindex", "4-compare", "5-moving", "6-failure-drill"
    ]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_nothing_of_a_run_is_committed(name: str) -> None:
    notebook = read(name)
    nbformat.validate(notebook)
    assert complaints(notebook) == []
    assert notebook["metadata"]["language_info"] == {"name": "python"}


def test_what_a_run_leaves_is_found() -> None:
    notebook = read("1-first-prompt")
    cell = next(cell for cell in notebook["cells"] if cell["id"] == "read")
    cell |= {"outputs": [{}], "execution_count": 3, "metadata": {"scrolled": True}}
    notebook["cells"][0]["id"] = "8f2a01"
    notebook["metadata"]["widgets"] = {}
    assert complaints(notebook) == [
        "metadata of the notebook", "8f2a01: no name of its own", "read: metadata", "read: outputs", "read: a number"
    ]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_its_links_lead_somewhere_and_its_cells_are_short(name: str) -> None:
    cells = read(name)["cells"]
    told = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
    assert told[0].startswith("# ")
    links = [link for text in told for link in LINK.findall(text)]
    assert [link for link in links if not (FOLDER / link).is_file()] == []
    assert [cell["id"] for cell in cells if len(cell["source"]) > 32] == []


# 2026-11: llama-index-core 0.14.5, our floor, with pydantic 2.12 and later.
FLOORS_WARNING = "ignore:The 'validate_default' attribute"


class Run:
    """A notebook that ran: what each cell said, by its name."""

    def __init__(self, name: str, **environment: str) -> None:
        self.name = name
        told = {"PYTHONWARNINGS": FLOORS_WARNING, **environment}
        self.notebook = asyncio.run(executed(FOLDER / f"{name}.ipynb", **told))
        self.outputs = {cell.id: cell.outputs for cell in self.notebook.cells if cell.cell_type == "code"}

    def __getitem__(self, cell: str) -> str:
        return "\n".join(
            output.get("text") or output["data"]["text/plain"]
            for output in self.outputs[cell]
            if output.get("name") != "stderr"
        )

    def kinds(self, cell: str) -> set[str]:
        return {kind for output in self.outputs[cell] for kind in output.get("data", ())}

    @property
    def warned(self) -> list[str]:
        return [o["text"] for outputs in self.outputs.values() for o in outputs if o.get("name") == "stderr"]


def first_prompt(run: Run) -> None:
    assert run["read"].startswith("tour/reply  version 1  production  latest\n")
    assert "Ann asks: Where is my {{parcel}}?" in run["fill"]
    assert "customer, question" in run["missing"]
    assert "[gpt-4o-mini] Ann asks: Where is my {{parcel}}?" in run["run"]
    assert "langfuse:tour/reply@1" in run["run"]
    assert "Be brief{+ and warm+}." in run["diff"]
    assert re.search(r"temperature +0\.7 +0\.2", run["diff"])
    assert re.search(r"2 +latest .*\n1 +production ", run["history"])
    assert "langfuse:tour/reply@2" in run["release"]
    assert "[gpt-4o] Ann asks:" in run["release"]
    assert run["rollback"] == run["history"]


def langchain(run: Run) -> None:
    assert run["chain"] == "'[gpt-4o-mini] Ann asks: Where is my parcel?'"
    assert run["stream"].startswith("[gpt-4o-mini]| Bo| asks:|")
    assert "'prompt_id': 'tour/reply'" in run["metadata"]
    assert "track_parcel" in run["agent"]
    assert run["agent"].rstrip().endswith("[gpt-4o-mini] Parcel 4217 left Oslo this morning.")
    assert run["structured"] == "Complaint(order=4217, item='blue kettle')"
    assert run["any"] == "'[gpt-4o] Ann asks: Is it {safe}?'"
    assert run["change"] == "'[gpt-4o-mini] Our Ann wants to know: Where is my parcel?'"


def llamaindex(run: Run) -> None:
    assert run["index"] == "'Parcels leave the warehouse in Oslo on Mondays and Thursdays.'"
    assert "Handbook: Parcels leave the warehouse" in run["slot"]
    assert "Question: When do parcels leave?" in run["slot"]
    assert "(The handbook says: Gift cards are valid for five years" in run["change"]
    assert run["agent"].strip() == "[gpt-4o-mini] Parcel 4217 left Oslo this morning."
    assert "track_parcel {'number': 4217}" in run["tools"]
    assert "'prompt_id': 'tour/desk'" in run["traced"]


def compare(run: Run) -> None:
    assert "response_format" in run["diff"]
    assert re.search(r"tour/extract@1 +6 +0 +0\.00 .* \$\ntour/extract@2 +6 +0 +0\.92 .* \$\n", run["compare"])
    assert "application/vnd.jupyter.widget-view+json" not in run.kinds("compare")
    assert "image/png" in run.kinds("plot")
    assert run["failures"].count("waffle iron") == 2
    assert re.search(r"on gpt-4o +0\.9.* 0\.0\n.*on gpt-4o-mini .* 1\.0", run["models"])
    assert re.search(r"2 +production, latest ", run["choose"])


def moving(run: Run) -> None:
    assert "prv_refund1,prv_refund2" in run["export"]
    assert re.search(r"prv_refund2 +staging .*Kinder\nprv_refund1 +production .*First draft", run["read"])
    assert "{+ and kind+}" in run["staging"]
    assert run["pull"].count("written") == 2
    assert "content: You tell the customers of {{company}}" in run["file"]
    assert "2 checked, 0 findings" in run["check"]
    assert run["rehearsal"].count("would be created") == 2
    assert run["push"].count("  created") == 2
    assert "Ann asks: My {{money}} back?" in run["proof"]
    assert "Sum up in one sentence: {{conversation}}" in run["publish"]
    assert run["same"] == "the same, each time\n"


def failure_drill(run: Run) -> None:
    cells = ("prepared", "overload", "recovery", "gone", "restart", "fallback")
    sources = [re.findall(r"source +(\w+)", run[cell])[0] for cell in cells]
    assert sources[:2] == ["fresh", "stale"]
    assert sources[2] in {"fresh", "cached"}
    assert sources[3:] == ["stale", "store", "fallback"]
    assert run["quick"].count(": stale, after ") == 3
    assert "Warmly welcome Flo" in run["recovery"]
    assert "Warmly welcome Gus" in run["gone"]
    assert "not asked for, since its server failed to answer moments ago" in run["error"]
    assert re.fullmatch(r"fallback after [\d.]+ s\n", run["hang"])
    kinds = re.findall(r"^\w+", run["events"], re.MULTILINE)
    assert [kind for kind, before in zip(kinds, ["", *kinds], strict=False) if kind != before] == [
        "resolved", "stale", "refreshed", "resolved", "stale", "store", "fallback"
    ]  # fmt: skip
    assert len(run.warned) == 5


STORIES: dict[str, Callable[[Run], None]] = dict(
    zip(NAMES, (first_prompt, langchain, llamaindex, compare, moving, failure_drill), strict=True)
)


@pytest.mark.parametrize("name", NAMES)
def test_it_tells_its_story_offline_and_becomes_a_page(name: str, tmp_path: Path) -> None:
    run = Run(name)
    STORIES[name](run)
    assert run["setup"].count("a double on this machine") == 2
    assert run.warned == [] or name == "6-failure-drill"
    written = page(run.notebook, name, tmp_path)
    assert written.startswith("# ")
    assert written.count("<style>") == 1
    assert "\x1b" not in written
    assert not re.search(r"127\.0\.0\.1|<img|<script|\.ipynb|\]\(\.\./docs|(?<![\w.])/(tmp|work|home)/", written)
    assert [picture for picture in re.findall(r"!\[.*\]\((.*)\)", written) if not (tmp_path / picture).is_file()] == []


def test_with_keys_it_runs_on_ones_own_services_as_often_as_one_likes() -> None:
    with FakeLangfuse(secret_key="sk-lf-mine") as langfuse, FakeOpenAI(api_key="sk-mine") as openai:
        first, second = (Run("1-first-prompt", **langfuse.env, **openai.env) for _ in range(2))
        assert openai.count == 4
    for run in (first, second):
        assert run["setup"].count("yours, by the keys in the environment") == 2
        assert "[gpt-4o] Ann asks" in run["release"]
        assert "sk-" not in json.dumps(run.notebook)
    assert "4 versions" in second["history"]


@pytest.mark.parametrize(("name", "asked"), [("3-llamaindex", 5), ("4-compare", 18), ("5-moving", 0)])
def test_with_keys_other_stories_are_told_on_ones_own_services_too(name: str, asked: int) -> None:
    with FakeLangfuse(secret_key="sk-lf-mine") as langfuse, FakeOpenAI(api_key="sk-mine") as openai:
        run = Run(name, **langfuse.env, **openai.env)
        assert (openai.count, langfuse.count > 5) == (asked, True)
    STORIES[name](run)
    assert run["setup"].count("yours, by the keys in the environment") == 2
    assert run.warned == []
    assert "sk-" not in json.dumps(run.notebook)
