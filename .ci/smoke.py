"""Run with `-I` by an environment that holds wheels only: `smoke.py core` or `smoke.py all`."""

import importlib
import importlib.metadata
import pkgutil
import subprocess
import sys
from pathlib import Path

NAMESPACES = {
    "core": ("promptwire",),
    "all": ("promptwire", "langchain_promptwire", "llama_index.llms.promptwire"),
}

# What modules need that an extra, or the user, brings; the doors to them name it.
OPTIONAL = {
    "promptwire.comparison.plots": {"matplotlib"},
    "promptwire.notebook.": {"anywidget", "traitlets"},
    "promptwire.proxy.": {"httptools", "orjson", "prometheus_client", "starlette", "uvicorn", "uvloop"},
}


def check(*, holds: bool, message: str) -> None:
    """An `assert` that `-O` leaves in place."""
    if not holds:
        sys.exit(f"smoke: {message}")


def imports(namespace: str) -> int:
    """Imports the namespace with every module in it; one whose extra is absent may only say so."""
    package = importlib.import_module(namespace)
    home = Path(package.__path__[0])
    check(holds=home.is_relative_to(sys.prefix), message=f"{namespace} is not the installed one")
    check(holds=(home / "py.typed").is_file(), message=f"{namespace} has no py.typed")
    errors = importlib.import_module("promptwire.errors")
    found = [module.name for module in pkgutil.walk_packages(package.__path__, f"{namespace}.")]
    names = [name for name in found if ".examples" not in name and not name.endswith(".__main__")]
    for name in names:
        try:
            importlib.import_module(name)
        except errors.ConfigurationError as error:
            check(holds="pip install" in str(error), message=f"{name} does not name its install command")
        except ModuleNotFoundError as error:
            lacking = str(error.name).partition(".")[0]
            known = any(name.startswith(place) and lacking in brought for place, brought in OPTIONAL.items())
            check(holds=known, message=f"{name} needs {error.name}, which the package does not bring")
    return len(names)


def runs(*command: str) -> None:
    """Fails with the command's output, unless it exits with 0."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    check(holds=done.returncode == 0, message=f"{command[-1]} failed:\n{done.stdout}{done.stderr}")


def main(what: str) -> None:
    """Imports all; then the command line, or the demo that the wheel carries."""
    count = sum(imports(namespace) for namespace in NAMESPACES[what])
    if what == "core":
        runs(str(Path(sys.executable).with_name("promptwire")), "--help")
        absent = {"rich", "langchain-core", "llama-index-core"}
        present = {distribution.name.lower() for distribution in importlib.metadata.distributions()}
        check(holds=not absent & present, message=f"the core brought {absent & present}")
    else:
        demo = Path(importlib.import_module("promptwire").__file__ or "").with_name("examples") / "demo.py"
        runs(sys.executable, "-I", str(demo))
    print(f"smoke: {what}: {count} modules, passed")


main(sys.argv[1])
