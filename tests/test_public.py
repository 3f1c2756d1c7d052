"""The package as its users see it: names, laziness, types."""

import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

import promptwire
from promptwire import errors

FIRST_USES = {
    "import promptwire": set[str](),
    "promptwire.Prompt('p', text='Hi {{name}}').render({'name': 'Ann'})": set[str](),
    "promptwire.PromptRef.parse('a@3'); promptwire.Resolver(); promptwire.completion": set[str](),
    "promptwire.Prompt('p', text='{{ name }}', dialect='jinja')": {"jinja2", "markupsafe"},
    "promptwire.Resolver(backend=files('promptwire')).get_prompt": set[str](),
}
HEAVY = {"httpx", "httpx_aiohttp", "aiohttp", "jinja2", "markupsafe", "yaml", "click", "rich", "pydantic", "httpcore"}


@pytest.mark.parametrize(("statement", "loaded"), FIRST_USES.items())
def test_what_is_not_needed_is_not_imported(statement: str, loaded: set[str]) -> None:
    if "files(" in statement:
        statement = "from promptwire.backends.files import FilesBackend as files; " + statement
    code = f"import sys, promptwire; {statement}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-Werror", "-c", code], check=True, capture_output=True, text=True)
    assert set(done.stdout.split()) & HEAVY == loaded


def test_names() -> None:
    assert dir(promptwire) == promptwire.__all__ == sorted(promptwire.__all__)
    for name in promptwire.__all__:
        assert getattr(promptwire, name) is getattr(promptwire, name)
    with pytest.raises(AttributeError, match="module 'promptwire' has no attribute 'complete'"):
        _ = promptwire.complete


def test_every_error_is_public_and_of_one_tree() -> None:
    tree = [thing for thing in vars(errors).values() if isinstance(thing, type) and issubclass(thing, Exception)]
    assert {kind.__name__ for kind in tree} <= set(promptwire.__all__)
    assert all(issubclass(kind, promptwire.PromptwireError) for kind in tree)
    assert not any(issubclass(kind, ValueError | TypeError) for kind in tree)


def test_an_error_told_again_is_its_own() -> None:
    error = promptwire.BackendError("no", status_code=500, retryable=True)
    error.__cause__ = KeyError("x")
    twin = error.again()
    assert twin is not error
    assert (twin.args, twin.status_code, twin.retryable, twin.__cause__) == (("no",), 500, True, error.__cause__)
    missing = promptwire.MissingVariablesError("no", ["a"]).again()
    assert missing.missing == ("a",)


def test_types_are_shipped() -> None:
    assert Path(str(files("promptwire") / "py.typed")).is_file()
