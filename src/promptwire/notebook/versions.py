"""What a playground's version pickers offer: the prompts it was given, and what their history tells."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from promptwire.backends import Backend
from promptwire.comparison.columns import Column
from promptwire.display.prompts import compact
from promptwire.errors import ConfigurationError, PromptNotFoundError, PromptwireError
from promptwire.history import History
from promptwire.prompts import Prompt
from promptwire.refs import PromptRef
from promptwire.resolver import Resolver
from promptwire.unseen import readable

MAX_VERSIONS = 100

Place = tuple[str, str]  # id, backend


class Versions:
    """Choices by their keys; those of the history are there once it was asked."""

    def __init__(self, columns: Sequence[Column], resolver: Resolver) -> None:
        self._resolver = resolver
        self._given = {str(number): column for number, column in enumerate(columns)}
        self._places = list(dict.fromkeys((column.prompt.id, column.prompt.backend) for column in columns))
        self._known: dict[str, tuple[Place, PromptRef]] = {}
        self._texts: dict[str, list[tuple[str, str]]] = {"labels": [], "versions": []}

    def told(self) -> list[dict[str, object]]:
        """Groups of choices, for the browser."""
        given = [(key, column.name) for key, column in self._given.items()]
        groups = {"given": given, **self._texts}
        return [
            {"name": name, "choices": [{"key": key, "text": readable(text)} for key, text in choices]}
            for name, choices in groups.items()
            if choices
        ]

    async def learn(self) -> str:
        """Ask for the histories; answers why one can't be told, where that is worth telling."""
        failed: list[str] = []
        for place in self._places:
            try:
                self._add(place, await self._history(place))
            except (ConfigurationError, PromptNotFoundError):
                continue  # drafts, and backends that keep none
            except PromptwireError as error:
                failed.append(str(error))
        return readable(f"no versions to choose from: {'; '.join(failed)}") if failed else ""

    async def find(self, key: str) -> Prompt:
        """The prompt that is chosen. Raises the errors of ``get_prompt``."""
        if key in self._given:
            return self._given[key].prompt
        if key not in self._known:
            raise ConfigurationError(f"there is no version {key!r:.60} to choose")
        place, ref = self._known[key]
        backend = self._backend(place)
        return await self._resolver.aget_prompt(ref.id, backend=backend, version=ref.version, label=ref.label)

    async def _history(self, place: Place) -> History:
        return await self._resolver.ahistory(place[0], backend=self._backend(place), limit=MAX_VERSIONS)

    def _backend(self, place: Place) -> str | Backend:
        """The resolver's own, if it is of that name: it may be an object that no name opens."""
        with suppress(ConfigurationError):
            own = self._resolver.open_backend()
            if own.name == place[1]:
                return own
        return place[1]

    def _add(self, place: Place, history: History) -> None:
        name = f"{place[0]} " if len(self._places) > 1 else ""
        for label, version in _labels(history):
            self._put("labels", place, f"{name}{label} → {version}", label=label)
        for one in history:
            if one.version is not None:
                said = f" · {compact(one.message)[:40]}" if one.message else ""
                self._put("versions", place, f"{name}version {one.version}{said}", version=one.version)

    def _put(self, group: str, place: Place, text: str, **selector: Any) -> None:
        with suppress(ConfigurationError):  # a name that nobody can ask for is no choice
            ref = PromptRef(place[0], **selector)
            key = f"{place[1]}:{ref} {group}"
            self._known[key] = place, ref
            self._texts[group].append((key, text))


def _labels(history: History) -> Iterator[tuple[str, int | str | None]]:
    for one in history:
        for label in one.labels:
            yield label, one.version
