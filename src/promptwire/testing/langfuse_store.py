"""The prompts of a fake Langfuse project: versions, labels and tags."""

import copy
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

from promptwire.testing.langfuse_composition import Composer, dependants, refuse
from promptwire.testing.wire import Json


def _timestamp() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(slots=True)
class Version:
    """One stored version; its labels, tags and ``updated_at`` change, the rest never does."""

    name: str
    version: int
    type: str
    prompt: Json
    config: Json
    labels: list[str]
    tags: list[str]
    commit_message: str | None
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    created_at: str = field(default_factory=_timestamp)
    updated_at: str = field(default_factory=_timestamp)

    def row(self) -> dict[str, Json]:
        """The answer to a write; a read adds to it."""
        return {
            "id": self.id,
            "createdAt": self.created_at,
            "updatedAt": self.updated_at,
            "projectId": "fake-project",
            "createdBy": "API",
            "prompt": self.prompt,
            "name": self.name,
            "version": self.version,
            "type": self.type,
            "isActive": None,
            "config": self.config,
            "tags": self.tags,
            "labels": self.labels,
            "commitMessage": self.commit_message,
        }

    def change(self, *, labels: list[str] | None = None, tags: list[str] | None = None) -> None:
        """Replace labels or tags; only what differs counts as an update."""
        wanted = (self.labels if labels is None else labels, self.tags if tags is None else tags)
        if wanted != (self.labels, self.tags):
            self.labels, self.tags = wanted
            self.updated_at = _timestamp()


class Project:
    """All versions of all prompts; every public method is one transaction, and answers copies."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._versions: list[Version] = []

    def select(self, keep: Callable[[Version], bool]) -> list[Version]:
        """The versions to ``keep``, by name, then by number."""
        with self._lock:
            found = sorted(filter(keep, self._versions), key=lambda version: (version.name, version.version))
            return copy.deepcopy(found)

    def create(self, body: dict[str, Json], *, check_dependencies: bool = True) -> Version:
        """Add the version that a validated request describes."""
        with self._lock:
            earlier = [version for version in self._versions if version.name == body["name"]]
            new = _new_version(body, earlier)
            if any(version.type != new.type for version in earlier):
                message = "Previous versions have different prompt type. Create a new prompt with a different name."
                raise refuse(400, "InvalidRequestError", message)
            if check_dependencies:
                Composer(new, self._versions, partial(refuse, 400, "InvalidRequestError")).resolve()
            for version in earlier:
                version.change(labels=_without(version.labels, new.labels), tags=list(new.tags))
            self._versions.append(new)
            return copy.deepcopy(new)

    def add_labels(self, name: str, number: int, labels: list[str]) -> Version:
        """Move labels to a version, which keeps those it has."""
        with self._lock:
            siblings = [version for version in self._versions if version.name == name]
            target = next((version for version in siblings if version.version == number), None)
            if target is None:
                message = f"Prompt '{name}' version {number} not found in project"
                raise refuse(404, "LangfuseNotFoundError", message)
            for version in siblings:
                if version is not target:
                    version.change(labels=_without(version.labels, labels))
            target.change(labels=list(dict.fromkeys([*labels, *target.labels])))
            return copy.deepcopy(target)

    def remove(self, doomed: list[Version], *, check_dependants: bool = True) -> None:
        """Delete versions; ``latest`` falls to the highest that is left."""
        ids = {version.id for version in doomed}
        with self._lock:
            left = [version for version in self._versions if version.id not in ids]
            if check_dependants and (lines := dependants(doomed, left)):
                message = "Other prompts are depending on prompt versions you are trying to delete:\n\n"
                message += "\n".join(lines) + "\n\nPlease delete the dependent prompts first."
                raise refuse(400, "InvalidRequestError", message)
            self._versions = left
            for name in {version.name for version in doomed}:
                siblings = [version for version in left if version.name == name]
                if siblings and not any("latest" in version.labels for version in siblings):
                    newest = max(siblings, key=lambda version: version.version)
                    newest.change(labels=[*newest.labels, "latest"])

    def resolve(self, root: Version) -> tuple[Json, dict[str, Json] | None]:
        """The prompt with its composition tags replaced, and the graph of what went into it."""
        with self._lock:
            return Composer(root, self._versions, partial(refuse, 409, "LangfuseConflictError")).resolve()


def _without(labels: list[str], taken: list[str]) -> list[str]:
    return [label for label in labels if label not in taken]


def _new_version(body: dict[str, Json], earlier: list[Version]) -> Version:
    inherited = earlier[-1].tags if earlier else []
    tags = inherited if body.get("tags") is None else body["tags"]
    return Version(
        name=body["name"],
        version=max((version.version for version in earlier), default=0) + 1,
        type=body.get("type", "text"),
        prompt=copy.deepcopy(body["prompt"]),
        config={} if body.get("config") is None else copy.deepcopy(body["config"]),
        labels=list(dict.fromkeys([*body.get("labels", ()), "latest"])),
        tags=list(dict.fromkeys(tags)),
        commit_message=body.get("commitMessage"),
    )
