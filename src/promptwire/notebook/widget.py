"""The playground's widget: what the browser and the kernel tell each other. Imports anywidget."""

import asyncio
import sys
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import anywidget
from traitlets import Dict, List, Unicode

from promptwire.comparison.columns import Column
from promptwire.display.bundle import bundle
from promptwire.display.html import style
from promptwire.display.view import Block, View
from promptwire.errors import PromptwireError
from promptwire.gateway.answers import Answer
from promptwire.jobs import Job
from promptwire.notebook.fields import Typed, fields_of, read, sendable, shown
from promptwire.notebook.pane import Pane
from promptwire.notebook.playing import Call
from promptwire.notebook.versions import Versions
from promptwire.unseen import readable

_HERE = Path(__file__).parent
_NAME = "promptwire-playground"


class Playground(anywidget.AnyWidget):
    """A prompt to play with, made by ``playground()``; whoever knows no widgets is shown a display of it.

    The browser sets ``typed`` and ``picked``, and sends ``run`` and ``stop``; the kernel sets all else.
    """

    _esm = _HERE / "playground.js"
    _css = style() + (_HERE / "playground.css").read_text("utf-8")

    title = Unicode().tag(sync=True)
    note = Unicode().tag(sync=True)
    fields: List[Any] = List().tag(sync=True)
    versions: List[Any] = List().tag(sync=True)
    models: List[Any] = List().tag(sync=True)
    typed = Dict().tag(sync=True)  # {"serial": 3, "values": {name: text}}
    picked: List[Any] = List().tag(sync=True)  # [{"version": key, "model": name}], one a pane
    drawn = Dict().tag(sync=True)  # {"serial": that of what was typed, "panes": [...]}
    answers: List[Any] = List().tag(sync=True)  # one a pane

    def __init__(
        self, columns: Sequence[Column], models: list[str], given: Mapping[str, Any], options: dict[str, Any]
    ) -> None:
        self._lock = threading.RLock()
        self._given, self._options = given, options
        self._versions = Versions(columns, options["resolver"])
        self._calls: list[Call] = []
        self._job: Job | None = None
        named = options.get("model") or ""
        self._panes = [
            Pane(str(at), "" if column.prompt.model or named or not models else models[0], column.prompt)
            for at, column in enumerate(columns)
        ]
        self._fields = fields_of([column.prompt for column in columns], given)
        first = {"serial": 0, "values": {sendable(name): shown(value, name) for name, value in given.items()}}
        super().__init__(
            title=readable(columns[0].prompt.id),
            fields=[one.told() for one in self._fields],
            versions=self._versions.told(),
            models=models,
            typed=first,
            picked=[{"version": pane.version, "model": pane.model} for pane in self._panes],
            drawn=self._drawing(first),
        )
        self.observe(self._on_typed, "typed")
        self.observe(self._on_picked, "picked")
        self.on_msg(self._on_message)
        self._start(self._learn)

    @property
    def results(self) -> list[Answer | None]:
        """What each pane's last run has said so far; ``None`` where it said nothing."""
        return [call.answer() for call in self._calls]

    def run(self) -> None:
        """Run every pane's version on its model, as its button does; nothing while one is running."""
        with self._lock:
            if self.comm is None or any(call.is_running for call in self._calls):
                return
            panes, typed = list(self._panes), self._read(self.typed)
            calls = self._calls = [Call(self._on_heard) for _ in panes]
            self._on_heard()

            async def play() -> None:
                plans = [partial(pane.plan, typed, self._options) for pane in panes]
                await asyncio.gather(*(call.run(plan) for call, plan in zip(calls, plans, strict=True)))

            self._job = self._start(play)

    def stop(self) -> None:
        """End what is running: the request too, so that the provider stops generating."""
        with self._lock:
            if self._job is not None:
                self._job.stop()
            for call in self._calls:
                call.stop()
            self._on_heard()

    def wait(self, timeout: float | None = None) -> None:
        """Return when the run has ended, or after so many seconds."""
        if self._job is not None:
            self._job.wait(timeout)

    def close(self) -> None:
        """Stop, and take the widget off the page."""
        self.stop()
        super().close()

    def set_state(self, sync_data: Any) -> None:
        """The browser's; a run's thread sets traits too, and traitlets' bookkeeping bears one thread at a time."""
        with self._lock:
            super().set_state(sync_data)

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """A live view where there is a kernel and widgets; else what it shows, as any display."""
        data, metadata = super()._repr_mimebundle_(**kwargs)  # type: ignore[misc] # None is for what has no view
        return {**data, **bundle(self)}, metadata

    def _view(self) -> View:
        typed = self._read(self.typed)
        blocks: list[Block] = []
        for at, pane in enumerate(self._panes):
            made = self._calls[at].view() if at < len(self._calls) else None
            for view in (pane.shown(typed).view, made):
                blocks += view.blocks if view else []
        first = self._panes[0].shown(typed).view
        return View(self.title, [*first.marks, "playground"], first.facts, blocks=blocks)

    def _read(self, typed: Mapping[str, Any]) -> Typed | PromptwireError:
        texts = typed.get("values")
        try:
            return read(self._fields, texts if isinstance(texts, Mapping) else {}, self._given)
        except PromptwireError as error:
            return error

    def _drawing(self, typed: Mapping[str, Any]) -> dict[str, Any]:
        said, called = self._read(typed), self._options.get("model")
        return {"serial": typed.get("serial"), "panes": [pane.told(said, called) for pane in self._panes]}

    def _draw(self) -> None:
        self._fields = fields_of([pane.prompt for pane in self._panes if pane.prompt], self._given)
        with self.hold_sync():
            self.fields = [one.told() for one in self._fields]
            self.drawn = self._drawing(self.typed)

    def _on_message(self, _: Any, content: Any, __: Any) -> None:
        act = _ACTS.get(str(content.get("type"))) if isinstance(content, dict) else None
        if act is not None:
            act(self)

    def _on_typed(self, _: Any) -> None:
        with self._lock:
            self.drawn = self._drawing(self.typed)

    def _on_picked(self, _: Any) -> None:
        with self._lock:
            picks = [pick for pick in self.picked[:2] if isinstance(pick, Mapping)]
            if picks:
                self._panes = [self._pane(at, pick) for at, pick in enumerate(picks)]
                self._draw()

    def _pane(self, at: int, pick: Mapping[str, Any]) -> Pane:
        version, model = str(pick.get("version")), str(pick.get("model") or "")
        if at < len(self._panes) and self._panes[at].version == version:
            return replace(self._panes[at], model=model)
        pane = Pane(version, model)
        self._start(lambda: self._fetch(at, version))
        return pane

    async def _fetch(self, at: int, version: str) -> None:
        found: dict[str, Any] = {}
        try:
            found["prompt"] = await self._versions.find(version)
        except PromptwireError as error:
            found["error"] = error
        with self._lock:  # another one may have been picked meanwhile
            if at < len(self._panes) and self._panes[at].version == version:
                self._panes[at] = replace(self._panes[at], **found)
                self._draw()

    async def _learn(self) -> None:
        note = await self._versions.learn()
        with self._lock, self.hold_sync():
            self.note, self.versions = note, self._versions.told()

    def _on_heard(self) -> None:
        with self._lock:
            self.answers = [call.told() for call in self._calls]

    def _start(self, work: Callable[[], Coroutine[Any, Any, None]]) -> Job:
        """On a thread; on marimo's own where it runs the notebook, since no other one's messages reach its browser."""
        return Job(work, _NAME, getattr(sys.modules.get("marimo"), "Thread", threading.Thread))


_ACTS = {"run": Playground.run, "stop": Playground.stop}
