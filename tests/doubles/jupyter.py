"""A Jupyter server of its own on loopback, with private folders: nothing of the developer's is read or written."""

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from playwright.sync_api import Error, Page

_FOLDERS = {
    "JUPYTER_CONFIG_DIR": "config", "JUPYTER_DATA_DIR": "data", "JUPYTER_RUNTIME_DIR": "runtime",
    "IPYTHONDIR": "ipython", "JUPYTERLAB_SETTINGS_DIR": "settings", "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
}  # fmt: skip
# Else a news pop-up covers a corner.
_QUIET = {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}
_SETTINGS = {
    "@jupyterlab/apputils-extension:themes": {"adaptive-theme": True},
    "@jupyterlab/notebook-extension:tracker": {"windowingMode": "none"},  # every cell is in the page
}
_BEGUN = r".jp-CodeCell .jp-InputPrompt:text-matches('[*\d]')"
_DONE = """count => {
  const prompts = [...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')];
  return prompts.filter(prompt => /\\[\\d+\\]/.test(prompt.textContent)).length >= (count ?? prompts.length);
}"""


@dataclass(frozen=True, slots=True)
class Jupyter:
    """A running server; ``work`` is the folder that it shows."""

    address: str
    token: str
    work: Path

    def write(self, name: str, cells: Sequence[str]) -> None:
        """Put a notebook there, without outputs."""
        new: Any = nbformat.v4
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        made = new.new_notebook(cells=list(map(new.new_code_cell, cells)), metadata={"kernelspec": kernel})
        (self.work / name).write_text(new.writes(made), "utf-8")

    def open(self, page: Page, name: str, *, wait: int | None = None) -> None:
        """Open a notebook in JupyterLab, run it all, and wait until so many cells are done, or all."""
        page.goto(f"{self.address}/lab/tree/{name}?token={self.token}&reset")
        page.get_by_text("| Idle").wait_for(timeout=60_000)
        while page.locator(_BEGUN).count() == 0:  # a kernel that has just come takes a first run for none
            page.click(".jp-Notebook .jp-CodeCell >> nth=0")
            page.get_by_text("Run", exact=True).first.click()
            page.locator('[data-command="runmenu:run-all"]').click()
            with contextlib.suppress(Error):
                page.locator(_BEGUN).first.wait_for(timeout=5_000)
        page.wait_for_function(_DONE, arg=wait, timeout=60_000)


@contextmanager
def jupyter(root: Path, environment: Mapping[str, str], application: str = "jupyterlab") -> Iterator[Jupyter]:
    """Start it; its kernels have the environment given."""
    config = root / "config" / "labconfig"
    config.mkdir(parents=True)
    (config / "page_config.json").write_text(json.dumps(_QUIET))
    (config / "default_setting_overrides.json").write_text(json.dumps(_SETTINGS))
    work = root / "work"
    work.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    made = Jupyter(f"http://127.0.0.1:{port}", secrets.token_hex(8), work)
    command = [
        sys.executable, "-m", application, "--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.port={port}", f"--IdentityProvider.token={made.token}", f"--ServerApp.root_dir={work}",
    ]  # fmt: skip
    folders = {name: str(root / folder) for name, folder in _FOLDERS.items()}
    with (root / "log").open("wb") as log:
        process = subprocess.Popen(
            command, env={**os.environ, **environment, **folders}, stdout=log, stderr=log, start_new_session=True
        )
    try:
        _wait_for(f"{made.address}/api?token={made.token}", root / "log")
        yield made
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def _wait_for(address: str, log: Path) -> None:
    for _ in range(600):
        with contextlib.suppress(OSError), urllib.request.urlopen(address, timeout=1):  # noqa: S310 - loopback
            return
        time.sleep(0.1)
    raise AssertionError(f"Jupyter did not start: {log.read_text()[-2000:]}")
