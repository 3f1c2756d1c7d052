"""Copies of another backend's prompts in a folder of files: what was edited here is kept."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from promptwire.backends.files import FilesBackend
from promptwire.backends.files_format import StoredFile, body_of, dump
from promptwire.cache import where
from promptwire.differences import compare
from promptwire.prompts import Prompt
from promptwire.refs import PromptRef

State = Literal["written", "unchanged", "kept"]


@dataclass(frozen=True, slots=True)
class Placed:
    """What became of one version: ``kept`` is a file edited here, or not of that origin, which stays as it is."""

    prompt: Prompt
    path: Path
    state: State


def place(
    files: FilesBackend,
    prompt_id: str,
    fetched: Sequence[Prompt],
    default: Prompt | None = None,
    *,
    force: bool = False,
) -> list[Placed]:
    """Write one prompt's versions, given oldest first, and take their labels from the copies of others.

    ``default``, one of them, becomes the prompt's own file, ``name.yaml``, which answers where no version is named;
    the others are ``name@3.yaml``. Each file is put in place whole and the own one last, so that an interrupted call
    can be repeated. With ``force`` nothing is kept. Raises ``PromptConfigError`` for a file that can't be read.
    """
    work = _Work(files, prompt_id)
    blocked = default is not None and not work.make_own(default, force=force)
    placed = [work.add(prompt, force=force) for prompt in fetched]
    work.tidy({label for prompt in fetched for label in prompt.labels})
    work.carry_out()
    return [*placed, Placed(default, work.own_path, "kept")] if default is not None and blocked else placed


class _Work:
    """What is to be written and removed, gathered before anything is."""

    def __init__(self, files: FilesBackend, prompt_id: str) -> None:
        self._files = files
        self._id = prompt_id
        self._default: Prompt | None = None
        self.own_path = files.path_of(prompt_id)
        self._stored = list(files.stored(prompt_id, where(files.name, PromptRef(prompt_id))))
        self._own = next((one for one in self._stored if one.path.stem == self.own_path.stem), None)
        if self._own is not None:
            self.own_path = self._own.path
        self._highest = max((one.number for one in self._stored), default=0)
        self._plan: dict[Path, str] = {}
        self._settled: set[Path] = set()

    def make_own(self, prompt: Prompt, *, force: bool) -> bool:
        """Give a prompt the own file's place, unless a file lies there that has no version and is not its copy."""
        own = self._own
        if own is not None and not own.number and prompt.version is not None and not force and _is_edited(own, prompt):
            return False
        self._default = prompt
        return True

    def add(self, prompt: Prompt, *, force: bool) -> Placed:
        number = self._number(prompt)
        copies = list(self._copies(prompt, number))
        edited = [] if force else [one for one in copies if _is_edited(one, prompt)]
        held = next(iter(edited or copies), None)
        stays = self._default is None and held is not None and held is self._own
        is_own = prompt is self._default or not number or stays
        path = self.own_path if is_own else self._files.path_of(self._id, number)
        if held is not None and edited:
            text = held.text if held.prompt.labels == prompt.labels else held.relabelled(prompt.labels)
        else:
            text = dump(body_of(prompt, number or None, prompt.labels, source=_source(prompt)))
        self._plan[path] = text
        self._settled.update(one.path for one in copies if one not in edited[1:])
        same = held is not None and (held.path, held.text) == (path, text)
        return Placed(prompt, path, "kept" if edited else "unchanged" if same else "written")

    def tidy(self, taken: set[str]) -> None:
        """Files of other versions lose the labels that moved, and give way to the new default."""
        for one in self._stored:
            if one.path in self._settled:
                continue
            labels = [label for label in one.prompt.labels if label not in taken]
            moves = one is self._own and one.path in self._plan
            path = self._files.path_of(self._id, one.number) if moves else one.path
            if moves or len(labels) < len(one.prompt.labels):
                text = one.text if len(labels) == len(one.prompt.labels) else one.relabelled(labels)
                self._plan.setdefault(path, text)
                self._settled.add(one.path)

    def carry_out(self) -> None:
        there = {one.path: one.text for one in self._stored}
        for path, text in sorted(self._plan.items(), key=lambda item: item[0] == self.own_path):
            if there.get(path) != text:
                self._files.folder.write(path, text)
        for path in self._settled - self._plan.keys():
            self._files.folder.remove(path)

    def _number(self, prompt: Prompt) -> int:
        """The file's version: the prompt's own, or one that stays with it where the vendor's is no number."""
        if prompt.version is None or isinstance(prompt.version, int):
            return prompt.version or 0
        for one in self._stored:
            if _is_copy(one, prompt):
                return one.number
        self._highest += 1
        return self._highest

    def _copies(self, prompt: Prompt, number: int) -> Iterator[StoredFile]:
        """The files that hold this version, and one without a version that lies where it belongs."""
        for one in self._stored:
            if one.number == number or (prompt is self._default and one is self._own and not one.number):
                yield one


def _is_edited(one: StoredFile, prompt: Prompt) -> bool:
    """Whether a file holds what its origin never did. A composed prompt's text may change under its version."""
    differences = compare(one.prompt, prompt)
    if not differences:
        return False
    as_copied = _is_copy(one, prompt) and one.source.get("content_hash") == one.prompt.content_hash
    return not as_copied or (prompt.version is not None and bool(differences.settings))


def _is_copy(one: StoredFile, prompt: Prompt) -> bool:
    return {**one.source, "content_hash": ""} == {**_source(prompt), "content_hash": ""}


def _source(prompt: Prompt) -> dict[str, object]:
    version = {} if prompt.version is None else {"version": prompt.version}
    return {"backend": prompt.backend, "id": prompt.id, **version, "content_hash": prompt.content_hash}
