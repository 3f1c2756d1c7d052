"""The pages that state what the code holds."""

import json
import re
from importlib.resources import files
from pathlib import Path

import pytest
from langchain_core.language_models import BaseChatModel
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.llms.promptwire import Promptwire

from docs import console
from langchain_promptwire import ChatPromptwire
from promptwire.cli.exits import MEANINGS
from promptwire.cli.group import COMMANDS
from promptwire.gateway.hosts import PROVIDERS, Provider
from promptwire.gateway.parameters import OPENAI_PARAMS, CompletionOptions
from promptwire.proxy.entries import CONTROL_KEYS, MODEL_KEYS, PROMPT_KEYS, RENDERING_KEYS

PAGE = Path(__file__).parents[1] / "docs" / "providers.md"
HEAD = "| provider | base URL | key | base URL's variable | lacks |\n|---|---|---|---|---|\n"


def row(provider: Provider) -> str:
    lacks = ", ".join(f"`{name}`" for name in sorted(provider.lacks)) or "none"
    key = f"`{provider.key_variable}`" if provider.needs_key else f"`{provider.key_variable}`, if it wants one"
    return f"| `{provider.name}` | {provider.base_url or 'none'} | {key} | `{provider.base_variable}` | {lacks} |"


def test_the_providers_page_holds_the_table() -> None:
    table = HEAD + "\n".join(row(provider) for provider in PROVIDERS.values())
    assert table in PAGE.read_text(), f"docs/providers.md needs this table:\n{table}"


def test_the_command_lines_page_shows_what_the_commands_print() -> None:
    page = console.PAGE.read_text(encoding="utf-8")
    shown = console.BLOCK.findall(page)
    assert len(shown) >= 8
    assert console.answered(page) == shown, "run docs/console.py"


def test_the_command_lines_page_has_every_command_and_every_exit_code() -> None:
    page = console.PAGE.read_text(encoding="utf-8")
    assert all(f"promptwire {name}" in page for name in COMMANDS)
    assert all(f"| {code} | {meaning} |" in page for code, meaning in MEANINGS.items())


def test_the_proxys_page_names_every_route_and_key() -> None:
    page = (PAGE.parent / "proxy.md").read_text()
    routes = json.loads((files("promptwire.proxy") / "openapi.json").read_text())["paths"]
    said = [f"`{method.upper()} {path.replace('prompt_id', 'id')}`" for path in routes for method in routes[path]]
    keys = (*CONTROL_KEYS, *MODEL_KEYS, *PROMPT_KEYS, *RENDERING_KEYS, "allowed_models", "allowed_openai_params")
    assert [text for text in (*said, *(f"`{key}`" for key in keys)) if text not in page] == []


COMMON = {"temperature", "max_tokens"}
FRONT_DOORS = {
    "completion": {*CompletionOptions.__annotations__, "stream"} - OPENAI_PARAMS | COMMON | {"stop", "stream"},
    "ChatPromptwire": set(ChatPromptwire.model_fields) - set(BaseChatModel.model_fields) - {"bound_arguments"},
    "Promptwire": set(Promptwire.model_fields) - set(FunctionCallingLLM.model_fields) - {"bound"}
    | set(Promptwire.keywords),
}


@pytest.mark.parametrize(("column", "front_door"), list(enumerate(FRONT_DOORS)))
def test_the_arguments_page_says_who_takes_what(column: int, front_door: str) -> None:
    page = (PAGE.parent / "reference" / "arguments.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if line.startswith("| `")]
    said = {name for row in rows if row[3 + column] for name in re.findall(r"`(\w+)`", row[0])}
    assert said == FRONT_DOORS[front_door]
