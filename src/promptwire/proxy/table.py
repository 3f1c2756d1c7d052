"""The model list as requests look things up in it."""

import itertools
from collections.abc import Iterator, Sequence

from promptwire.backends import Backend
from promptwire.prompts import Prompt
from promptwire.proxy.entries import Entry


class Table:
    """Entries by the name that clients ask for; several under one name take turns.

    With ``any_name`` the first entry answers whatever name is asked for.
    """

    def __init__(self, entries: Sequence[Entry], *, any_name: bool = False) -> None:
        groups: dict[str, list[Entry]] = {}
        for entry in entries:
            groups.setdefault(entry.name, []).append(entry)
        self.names = tuple(groups)
        self._turns: dict[str, Iterator[Entry]] = {name: itertools.cycle(group) for name, group in groups.items()}
        self.only = entries[0] if any_name else None
        self._entries = tuple(entries)

    def find(self, name: str) -> Entry | None:
        """The entry that runs this request."""
        if self.only is not None:
            return self.only
        turns = self._turns.get(name)
        return next(turns) if turns is not None else None

    def for_prompt(self, prompt: Prompt) -> Entry | None:
        """The entry whose name is the model that a prompt names, and which is of the provider that it names."""
        if prompt.model is None or self.only is not None:
            return None
        if prompt.provider is None:
            return self.find(prompt.model)
        entry = self.find(f"{prompt.provider}/{prompt.model.removeprefix(f'{prompt.provider}/')}")
        if entry is None:
            entry = self.find(prompt.model)
        return entry if entry is not None and entry.caller.provider == prompt.provider else None

    def prompts_of(self, name: str | None) -> Entry | None:
        """The entry whose backend ``/v1/prompts`` reads: the named one, or the first that has one."""
        if name is not None:
            return self.find(name)
        return next((entry for entry in self._entries if entry.backend is not None), None)

    def backends(self, kind: str) -> list[tuple[Backend, str | None]]:
        """The opened backends of a kind, each with the webhook secret of its entry."""
        return [
            (entry.backend, entry.webhook_secret)
            for entry in self._entries
            if entry.backend is not None and entry.backend.name == kind
        ]
