"""The playground in a saved notebook, and in the page that is made of it."""

from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbconvert import exporters

CELL = """
from promptwire import Prompt
Prompt("ask", text="Why, {{name}}?").playground(variables={"name": "<b>Ann</b>"})
"""
VIEW = "application/vnd.jupyter.widget-view+json"


def test_a_saved_notebook_shows_it_without_widgets(tmp_path: Path) -> None:
    made: Any = nbformat.v4
    converted: Any = exporters
    notebook = made.new_notebook(cells=[made.new_code_cell(CELL)])
    where = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=60, store_widget_state=False, resources=where).execute()
    data = notebook.cells[0]["outputs"][0]["data"]
    assert {VIEW, "text/html", "text/markdown", "text/plain"} <= data.keys()
    assert "Why, <b>Ann</b>?" in data["text/plain"]
    page, _ = converted.HTMLExporter().from_notebook_node(notebook)
    assert '<span class="pw-value" title="name">&lt;b&gt;Ann&lt;/b&gt;</span>' in page
    assert VIEW not in page
    text, _ = converted.MarkdownExporter().from_notebook_node(notebook)
    assert "Ann" in text
