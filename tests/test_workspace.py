"""The rules of the house that no linter knows."""

import ast
import re
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_socket import SocketConnectBlockedError

import promptwire

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "promptwire"
PROJECTS = [ROOT / folder / "pyproject.toml" for folder in (".", "integrations/langchain", "integrations/llamaindex")]

# Spelt in pieces, so that this file passes its own rule.
REGISTRIES = "|".join(rf"\b{name}\." + end for name, end in [
    ("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "(org|com)"), ("debian", "org"), ("anaconda", "(org|com)"),
])  # fmt: skip
MACHINES = r"(?<![\w.}%>-])/(work|root|home|Users|workspace|builds)/"


def repository_files() -> list[Path]:
    """What git has, or would take."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    return [path for name in names if name and (path := ROOT / name).is_file()]


def imported(file: Path) -> Iterator[str]:
    """The full names of the modules that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def importers(*packages: str) -> set[str]:
    """The files of the core that import one of the packages, or a module of it."""
    return {
        file.relative_to(SOURCE).as_posix()
        for file in SOURCE.rglob("*.py")
        for name in imported(file)
        if name.partition(".")[0] in packages
    }


@pytest.mark.parametrize("pattern", [REGISTRIES, MACHINES], ids=["registry", "machine"])
def test_no_file_names_a_registry_or_a_path_of_a_machine(pattern: str) -> None:
    found = []
    for path in repository_files():
        text = path.read_bytes().decode("utf-8", "replace")
        found += [f"{path.relative_to(ROOT)}: {match[0]}" for match in re.finditer(pattern, text)]
    assert not found


def test_constraints_pin_names_and_nothing_else() -> None:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    assert len(lines) > 50
    assert [line for line in lines if not re.fullmatch(r"[a-z0-9-]+==[\w.]+( ; [\w .'<>=!()]+)?", line)] == []


def test_no_file_outgrows_its_room() -> None:
    sizes = {
        path.relative_to(ROOT).as_posix(): len(path.read_bytes().splitlines())
        for path in repository_files()
        if path.suffix == ".py"
    }
    rooms = {path: 500 if "tests/" in path else 300 for path in sizes}  # a test file may be one long table
    assert {path: size for path, size in sizes.items() if size > rooms[path]} == {}


def test_llama_index_stays_a_namespace() -> None:
    namespace = ROOT / "integrations" / "llamaindex" / "llama_index"
    assert (namespace / "llms" / "promptwire" / "py.typed").is_file()
    assert not (namespace / "__init__.py").exists()
    assert not (namespace / "llms" / "__init__.py").exists()


def test_one_version_everywhere() -> None:
    projects = [tomllib.loads(path.read_text("utf-8"))["project"] for path in PROJECTS]
    assert {project["version"] for project in projects} == {promptwire.__version__}
    assert len({project["requires-python"] for project in projects}) == 1


def test_only_the_transport_imports_httpx() -> None:
    assert importers("httpx", "httpx_aiohttp") == {"transport.py"}
    assert importers("aiohttp") <= {"transport.py", "proxy/upstream.py"}


def test_the_proxys_extra_is_imported_by_the_proxy_alone() -> None:
    found = importers("httptools", "orjson", "prometheus_client", "starlette", "uvicorn", "uvloop")
    assert {path for path in found if not path.startswith("proxy/")} == set()


def test_the_core_knows_no_framework() -> None:
    assert importers("langchain", "langchain_core", "langchain_promptwire", "llama_index") == set()


def test_all_is_true() -> None:
    """Names are found lazily, so what type checkers see and what a caller gets could drift apart."""
    tree = ast.parse((SOURCE / "__init__.py").read_text("utf-8"))
    aliases = [name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for name in node.names]
    seen = {name.name for name in aliases if name.asname == name.name}
    assert seen == set(promptwire.__all__) - {"__version__"}
    assert [name for name in promptwire.__all__ if not hasattr(promptwire, name)] == []


IMPORT = """
import sys, threading

before, events = set(sys.modules), []
sys.addaudithook(lambda event, _: event.startswith("socket.") and events.append(event))
threading.Thread.start = lambda thread: events.append("thread")
import promptwire

names = {name.partition(".")[0] for name in set(sys.modules) - before} - sys.stdlib_module_names
print(*events, *sorted(names - {"promptwire"}))
"""


def test_import_starts_nothing_and_imports_nothing_else() -> None:
    """Not even the core's own dependencies: each is imported at its first use."""
    done = subprocess.run([sys.executable, "-I", "-c", IMPORT], check=True, capture_output=True, text=True)
    assert done.stdout.split() == []


def test_the_tests_reach_loopback_only() -> None:
    with (
        socket.socket() as client,
        pytest.warns(UserWarning, match="allowed"),
        pytest.raises(SocketConnectBlockedError),
    ):
        client.connect(("192.0.2.1", 80))
    with pytest.raises(socket.gaierror, match="loopback only"):
        socket.getaddrinfo("example.com", 443)
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        pass
