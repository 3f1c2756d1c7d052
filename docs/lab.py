"""JupyterLab in a headless Chromium: runs notebooks as their readers do, and takes the documentation's pictures."""

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

from playwright.sync_api import Page, sync_playwright

from docs.notebook_pages import FOLDER, environment

CHROMIUM = shutil.which("chromium")
PICTURES = Path(__file__).parent / "pictures"
SECONDS = 60
SIZE = {"width": 1280, "height": 1600}
SETTINGS = {
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false"},
    "@jupyterlab/apputils-extension:themes": {"adaptive-theme": True},
    "@jupyterlab/notebook-extension:tracker": {"windowingMode": "none"},
}
OFF = {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}
_CELLS = ".jp-Notebook .jp-CodeCell"
_ALL_RAN = """() => {
  const prompts = [...document.querySelectorAll('.jp-Notebook .jp-CodeCell .jp-InputPrompt')];
  return prompts.length > 0 && prompts.every(prompt => /\\[\\d+\\]/.test(prompt.textContent));
}"""

Scheme = Literal["light", "dark"]


class Lab:
    """A JupyterLab with the notebooks in a folder of its own, and a browser that notes what goes wrong.

    ``errors`` are the pages' own, ``asked`` the addresses on other hosts that they wanted.
    """

    def __init__(self, browser: Any, url: str, token: str) -> None:
        self._browser = browser
        self._url = url
        self._token = token
        self.errors: list[str] = []
        self.asked: list[str] = []

    @contextmanager
    def ran(self, notebook: str, scheme: Scheme) -> Generator[Page]:
        """The notebook after all of its cells ran."""
        page = self._browser.new_page(color_scheme=scheme, viewport=SIZE)
        page.set_default_timeout(1000 * SECONDS)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", self.note)
        page.goto(f"{self._url}/lab/tree/{notebook}.ipynb?token={self._token}&reset")
        page.wait_for_selector(_CELLS)
        idle = page.get_by_text("Python 3 (ipykernel) | Idle")  # of the status bar: there is a kernel
        idle.wait_for()
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.locator('[data-command="runmenu:run-all"]').click()
        page.wait_for_function(_ALL_RAN)
        idle.wait_for()
        try:
            yield page
        finally:
            page.close()

    def note(self, request: Any) -> None:
        if not request.url.startswith((self._url, self._url.replace("http", "ws", 1), "data:", "blob:")):
            self.asked.append(request.url)


@contextmanager
def opened() -> Generator[Lab]:
    """A lab, with servers and settings that end with it."""
    token = secrets.token_hex(8)
    with ExitStack() as stack:
        room = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = stack.enter_context(_served(room, token))
        chromium = stack.enter_context(sync_playwright()).chromium
        browser = chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        stack.callback(browser.close)
        yield Lab(browser, url, token)


@contextmanager
def _served(room: Path, token: str) -> Iterator[str]:
    shutil.copytree(FOLDER, room / "work")
    config = room / "config" / "labconfig"
    config.mkdir(parents=True)
    (config / "page_config.json").write_text(json.dumps(OFF))
    (config / "default_setting_overrides.json").write_text(json.dumps(SETTINGS))
    folders = {
        "JUPYTER_CONFIG_DIR": "config", "JUPYTER_DATA_DIR": "data", "JUPYTER_RUNTIME_DIR": "run",
        "JUPYTERLAB_SETTINGS_DIR": "settings", "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
    }  # fmt: skip
    port = _free_port()
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.port={port}", f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={room / 'work'}",
    ]  # fmt: skip
    env = environment(str(room)) | {name: str(room / folder) for name, folder in folders.items()}
    with (room / "log").open("w") as log:
        process = subprocess.Popen(command, env=env, stdout=log, stderr=log, start_new_session=True)
    try:
        _wait(f"http://127.0.0.1:{port}/api?token={token}")
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def _wait(url: str) -> None:
    deadline = time.monotonic() + SECONDS
    while True:
        with suppress(OSError):
            urllib.request.urlopen(url, timeout=1).close()  # noqa: S310 - a lab of our own
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"JupyterLab didn't start within {SECONDS} s")
        time.sleep(0.1)


def shoot(folder: Path) -> None:
    """Pictures of what a first notebook and a comparison look like, in both themes."""
    folder.mkdir(exist_ok=True)
    with opened() as lab:
        for scheme in ("light", "dark"):
            for notebook, heading in (("1-first-prompt", "Look at it"), ("4-compare", "Compare")):
                with lab.ran(notebook, scheme) as page:
                    page.get_by_role("heading", name=heading, exact=True).evaluate("it => it.scrollIntoView()")
                    page.locator(".jp-Notebook").screenshot(path=folder / f"{notebook}-{scheme}.png")


if __name__ == "__main__":
    shoot(Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURES)
