"""What the packages are made of: nothing that runs foreign data, no file that others may write, and only their own."""

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(
    path
    for folder in ("src", "integrations/langchain/langchain_promptwire", "integrations/llamaindex/llama_index")
    for path in (ROOT / folder).rglob("*.py")
)
# Names that run what they are given, and modules that could.
CALLS = {"eval", "exec", "compile", "__import__"}
MODULES = {
    "pickle",
    "marshal",
    "shelve",
    "dill",
    "cloudpickle",
    "joblib",
    "subprocess",
    "pty",
    "code",
    "ctypes",
    "xmlrpc",
}
METHODS = {"os.system", "os.popen", "os.execv", "os.execvp", "os.spawnv", "os.chmod", "os.umask", "os.setuid"}
# Each with its reason.
ALLOWED = {
    ("src/promptwire/backends/folder.py", "yaml.load"),  # by a SafeLoader's subclass: no tag makes an object
    ("src/promptwire/backends/files_format.py", "yaml.dump"),  # by a SafeDumper's
    ("src/promptwire/testing/contract.py", "pickle"),  # a test that is shipped: its own bytes
}


def dotted(node: ast.AST) -> str:
    match node:
        case ast.Attribute(value=value, attr=attr):
            return f"{dotted(value)}.{attr}"
        case ast.Name(id=name):
            return name
        case _:
            return "?"


def uses(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=func):
                name = dotted(func)
                if name in CALLS | METHODS or (name.startswith("yaml.") and name.split(".")[1] in {"load", "dump"}):
                    yield name
                if any(keyword.arg == "shell" for keyword in node.keywords):
                    yield f"{name}(shell=...)"
            case ast.Import(names=names):
                yield from (alias.name for alias in names if alias.name.split(".")[0] in MODULES)
            case ast.ImportFrom(module=str(module)) if module.split(".")[0] in MODULES:
                yield module


def found() -> set[tuple[str, str]]:
    return {
        (path.relative_to(ROOT).as_posix(), use) for path in SOURCES for use in uses(ast.parse(path.read_text("utf-8")))
    }


def test_the_source_runs_no_foreign_data_and_starts_no_program() -> None:
    assert found() == ALLOWED


@pytest.mark.parametrize(
    ("code", "use"),
    [
        ("eval('1')", "eval"),
        ("import pickle", "pickle"),
        ("from subprocess import run", "subprocess"),
        ("import yaml; yaml.load(x)", "yaml.load"),
        ("run('id', shell=True)", "run(shell=...)"),
        ("import os; os.system('id')", "os.system"),
    ],
)
def test_what_would_is_found(code: str, use: str) -> None:
    assert use in set(uses(ast.parse(code)))


def test_the_only_yaml_loader_makes_no_objects() -> None:
    import yaml

    from promptwire.backends.folder import _loader

    assert issubclass(_loader(), yaml.SafeLoader)
    assert _loader().yaml_constructors == yaml.SafeLoader.yaml_constructors
    assert _loader().yaml_multi_constructors == yaml.SafeLoader.yaml_multi_constructors


def test_the_packages_bring_few_dependencies() -> None:
    names = {
        path: [requirement_name(line) for line in _project(path)["dependencies"]]
        for path in (".", "integrations/langchain", "integrations/llamaindex")
    }
    assert names["."] == ["aiohttp", "click", "httpx", "httpx-aiohttp", "jinja2", "PyYAML"]
    assert names["integrations/langchain"] == ["langchain-core", "promptwire"]
    assert names["integrations/llamaindex"] == ["llama-index-core", "promptwire"]


def _project(path: str) -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads((ROOT / path / "pyproject.toml").read_text("utf-8"))["project"]
    return project


def requirement_name(line: str) -> str:
    found = re.match(r"[A-Za-z0-9-]+", line)
    assert found
    return found[0]


WHEELS = {
    ".": r"promptwire/(examples/(demo\.py|prompts/[\w/@]+\.yaml)|[\w/]+\.(py|css|js)|proxy/openapi\.json|py\.typed)",
    "integrations/langchain": r"langchain_promptwire/(\w+\.py|py\.typed)",
    "integrations/llamaindex": r"llama_index/llms/promptwire/(\w+\.py|py\.typed)",
}


@pytest.mark.parametrize("project", WHEELS)
def test_a_wheel_holds_the_package_and_nothing_else(project: str, tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT / project, check=True, capture_output=True, timeout=100)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    about = {name for name in names if ".dist-info/" in name}
    assert [name for name in names if name not in about and not re.fullmatch(WHEELS[project], name)] == []
    told = {name.partition(".dist-info/")[2] for name in about}
    assert told <= {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"}
