"""Humanloop's prompts in a folder: what its export script wrote, and the ``.prompt`` files of ``humanloop pull``.

Not read: agents, tools, flows, datasets and evaluators, logs, evaluations, datapoints.
"""

import json
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from promptwire import log
from promptwire.backends import PromptSummary, PromptVersion
from promptwire.backends.folder import Folder, is_file, state
from promptwire.backends.http import Http
from promptwire.backends.humanloop_dotprompt import read_dotprompt
from promptwire.backends.humanloop_prompt import is_record, parse_prompt, parse_version, texts
from promptwire.errors import ConfigurationError, PromptConfigError, PromptNotFoundError, raise_bare
from promptwire.prompts import Prompt
from promptwire.refs import PromptRef


@dataclass(frozen=True, slots=True)
class Exported:
    """A file of Humanloop's in an export: ``files/<id>``."""

    directory: Path
    path: str
    kind: str
    tags: tuple[str, ...]


class HumanloopFolder:
    """An export is looked through first, then the ``.prompt`` files, which have neither versions nor environments."""

    def __init__(self, root: str | Path) -> None:
        self._folder = Folder(root, "humanloop")
        self.arguments = (None, None, self._folder.root)
        self.identity: Hashable = ("folder", str(self._folder.root))
        self._index: tuple[Hashable, dict[str, list[Exported]]] = (None, {})

    def stamp(self, ref: PromptRef) -> Hashable:
        """Name, mtime and size of every file that could answer."""
        exported = self._find(ref.id)
        if exported is None:
            return tuple(state(path) for path in self._named(ref.id))
        there = exported.directory
        return tuple(state(path) for path in (there / "file.json", there / "deployments.json", *_versions(there)))

    def fetch(self, ref: PromptRef, http: Http) -> Prompt:
        """The version that is meant; without a default environment it is the newest."""
        exported = self._find(ref.id)
        if exported is None:
            return self._pulled(ref, http.where)
        if exported.kind != "prompt":
            raise PromptConfigError(f"{http.where}: it is a Humanloop {exported.kind}; only prompts are read")
        deployments = self._deployments(exported, http.where)
        record = self._chosen(exported, ref, deployments, http.where)
        if deployments:
            record["environments"] = [
                {"name": row.get("environment_name")}
                for row in deployments
                if row["version_id"] == record["version_id"]
            ]
        return parse_prompt(record, ref.id, http.where)

    def summaries(self, http: Http) -> Iterator[PromptSummary]:  # noqa: ARG002 - as a server is asked
        """All prompts of the export, then all ``.prompt`` files."""
        for exported in {one.directory: one for found in self._exports().values() for one in found}.values():
            if exported.kind == "prompt":
                versions = tuple(path.name for path in _versions(exported.directory))
                yield PromptSummary(exported.path, versions, self._environments(exported), exported.tags)
        for name, _ in self._folder.walk(".prompt"):
            yield PromptSummary(name)

    def versions(self, prompt_id: str, http: Http) -> Iterator[PromptVersion]:
        """The versions of an export."""
        exported = self._find(prompt_id)
        if exported is None:
            self._pulled(PromptRef(prompt_id), http.where)
            raise ConfigurationError(f"{http.where}: a .prompt file has no history; an export has")
        deployments = self._deployments(exported, http.where)
        for path in _versions(exported.directory):
            names = [row.get("environment_name") for row in deployments if row["version_id"] == path.name]
            yield parse_version(self._version(path, http.where), texts(names) if deployments else None)

    def _find(self, prompt_id: str) -> Exported | None:
        found = self._exports().get(prompt_id, [])
        if len(found) > 1:
            paths = ", ".join(sorted(one.path for one in found))
            raise ConfigurationError(f"humanloop prompt {prompt_id!r}: several have that name; give a path: {paths}")
        return found[0] if found else None

    def _exports(self) -> dict[str, list[Exported]]:
        """What an export holds, by id, path and name; read anew when a file was added."""
        files = self._folder.root / "files"
        stamp = state(files)
        if stamp != self._index[0]:
            found = [one for path in sorted(files.glob("*/file.json")) if (one := self._exported(path))]
            prompts = [one for one in found if one.kind == "prompt"]
            index: dict[str, list[Exported]] = {}
            for one in prompts:
                index.setdefault(one.path.rpartition("/")[2], []).append(one)
            index |= {one.path: [one] for one in (*found, *prompts)}
            self._index = stamp, index | {one.directory.name: [one] for one in found}
        return self._index[1]

    def _exported(self, path: Path) -> Exported | None:
        where = f"humanloop export {path.parent.name!r}"
        try:
            body = self._json(path, where)
        except (ConfigurationError, PromptConfigError) as error:
            log.logger.warning("not read: %s", error)
            return None
        record = body if isinstance(body, dict) else {}
        name, kind = record.get("path"), record.get("type")
        directory = path.parent
        if not isinstance(name, str) or not name:
            name = directory.name
        return Exported(directory, name, kind if isinstance(kind, str) else "prompt", texts(record.get("tags")))

    def _environments(self, exported: Exported) -> tuple[str, ...]:
        """Where it is deployed, for a listing: a file that can't be read hides no other prompt."""
        try:
            rows = self._deployments(exported, f"humanloop export {exported.directory.name!r}")
        except (ConfigurationError, PromptConfigError) as error:
            log.logger.warning("not read: %s", error)
            return ()
        return tuple(dict.fromkeys(texts([row.get("environment_name") for row in rows])))

    def _deployments(self, exported: Exported, where: str) -> list[dict[str, Any]]:
        rows = self._json(exported.directory / "deployments.json", where)
        if rows is not None and not (isinstance(rows, list) and all(isinstance(r, dict) for r in rows)):
            raise PromptConfigError(f"{where}: its file deployments.json is not a list of deployments")
        return [row for row in rows or () if isinstance(row.get("version_id"), str)]

    def _chosen(
        self, exported: Exported, ref: PromptRef, deployments: list[dict[str, Any]], where: str
    ) -> dict[str, Any]:
        wanted = None if ref.version is None else str(ref.version)
        if wanted is None:
            key, value = ("environment_tag", "default") if ref.label is None else ("environment_name", ref.label)
            wanted = next((row["version_id"] for row in deployments if row.get(key) == value), None)
        paths = [path for path in _versions(exported.directory) if wanted in {None, path.name}]
        if not paths or (wanted is None and ref.label is not None):
            what = "such version" if exported.directory.joinpath("versions").is_dir() else "version of it"
            raise PromptNotFoundError(f"{where}: the export in {self._folder.root} holds no {what}")
        return max((self._version(path, where) for path in paths), key=lambda body: str(body.get("created_at")))

    def _version(self, path: Path, where: str) -> dict[str, Any]:
        body = self._json(path, where)
        if not is_record(body):
            raise PromptConfigError(f"{where}: its file {path.name} is not of a prompt's shape")
        return {**body, "version_id": path.name}

    def _json(self, path: Path, where: str) -> Any:
        text = self._folder.read(path, where)
        try:
            return None if text is None else json.loads(text)
        except (ValueError, RecursionError):
            raise_bare(PromptConfigError(f"{where}: its file {path.name} is not JSON"))

    def _named(self, prompt_id: str) -> tuple[Path, Path]:
        path = self._folder.path(prompt_id)
        return path.with_name(f"{path.name}.prompt"), path.with_name(f"{path.name}.agent")

    def _pulled(self, ref: PromptRef, where: str) -> Prompt:
        path, agent = self._named(ref.id)
        text = self._folder.read(path, where) if is_file(path) else None
        if text is None and is_file(agent):
            raise PromptConfigError(f"{where}: {agent.name} is an agent's file; only prompts are read")
        if text is None:
            raise PromptNotFoundError(f"{where} is neither in an export nor a .prompt file in {self._folder.root}")
        if ref.version is not None or ref.label is not None:
            raise PromptNotFoundError(f"{where} does not exist: {path.name} has neither versions nor environments")
        where = f"{where}, file {path.name}"
        return parse_prompt(read_dotprompt(text, where), ref.id, where)


def _versions(directory: Path) -> list[Path]:
    try:
        return sorted(path for path in (directory / "versions").iterdir() if is_file(path))
    except OSError:
        return []
