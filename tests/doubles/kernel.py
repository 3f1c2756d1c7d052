"""A widget's two ends without Jupyter: the comm that its kernel side talks into, and its module in a real browser."""

import queue
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import comm
from comm.base_comm import BaseComm
from playwright.sync_api import Page

_MODEL = """async ([source, style, state]) => {
  const module = await import(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
  document.head.append(Object.assign(document.createElement("style"), { textContent: style }));
  const heard = {};
  const tell = (name) => (heard[`change:${name}`] ?? []).forEach((react) => react());
  let changed = {};
  window.sent = [];
  window.model = {
    get: (name) => state[name],
    set(name, value) { state[name] = changed[name] = value; tell(name); },
    save_changes() { window.sent.push({ method: "update", state: changed }); changed = {}; },
    send(content) { window.sent.push({ method: "custom", content }); },
    on: (event, react) => (heard[event] ??= []).push(react),
    off: (event, react) => { heard[event] = heard[event].filter((one) => one !== react); },
    receive(update) { Object.assign(state, update); Object.keys(update).forEach(tell); },
  };
  window.heard = heard;
  const el = document.createElement("div");
  document.body.append(el);
  window.cleanup = module.default.render({ model: window.model, el });
}"""


class Comm(BaseComm):
    """What the kernel sends is kept in ``sent``, in order."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.sent: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self.log: list[dict[str, Any]] = []
        super().__init__(*args, **kwargs)

    def publish_msg(self, msg_type: str, data: Any = None, *_: Any, **__: Any) -> None:
        self.log.append(data or {})
        if msg_type == "comm_msg":
            self.sent.put(data)

    def updates(self) -> Iterator[dict[str, Any]]:
        """The states sent since this was asked last."""
        while not self.sent.empty():
            data = self.sent.get()
            if data["method"] == "update":
                yield data["state"]


@contextmanager
def comms() -> Iterator[None]:
    """Widgets made inside talk into a ``Comm``."""
    with mock.patch.object(comm, "create_comm", Comm):
        yield


def deliver(widget: Any, data: Any) -> None:
    """A message of the browser's, as it arrives."""
    widget._handle_msg({"content": {"data": data}, "buffers": []})  # noqa: SLF001 - ipywidgets' own door


def tell(widget: Any, **state: Any) -> None:
    """The browser sets traits."""
    deliver(widget, {"method": "update", "state": state})


def send(widget: Any, content: Any) -> None:
    """The browser sends a message of its own."""
    deliver(widget, {"method": "custom", "content": content})


class Bridge:
    """Carries messages between a widget and its module in a page, when told to: a kernel as busy as a test wants."""

    def __init__(self, page: Page, widget: Any) -> None:
        self.page = page
        self.widget = widget
        state = {name: value for name, value in widget.get_state().items() if not name.startswith("_")}
        state.pop("layout", None)
        page.evaluate(_MODEL, [widget.get_state("_esm")["_esm"], widget.get_state("_css")["_css"], state])

    def said(self) -> list[dict[str, Any]]:
        """What the browser has said since this was asked last."""
        said: list[dict[str, Any]] = self.page.evaluate("window.sent.splice(0)")
        return said

    def to_kernel(self) -> None:
        """What the browser said, one message after the other."""
        for data in self.said():
            deliver(self.widget, data)

    def to_browser(self) -> None:
        for state in self.widget.comm.updates():
            self.page.evaluate("state => model.receive(state)", state)

    def carry(self) -> None:
        """Both ways, once."""
        self.to_kernel()
        self.to_browser()

    def until(self, condition: str, rounds: int = 400) -> None:
        """Carry until the page says so."""
        for _ in range(rounds):
            self.carry()
            if self.page.evaluate(condition):
                return
            self.page.wait_for_timeout(10)
        raise AssertionError(f"it never came to be: {condition}; the page says {self.page.inner_text('body')[:2000]}")
