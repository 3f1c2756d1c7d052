"""A Langfuse server for tests: the public prompts API, answering as version 4 does."""

from collections.abc import Callable, Sequence
from datetime import datetime
from http import HTTPStatus
from itertools import groupby
from typing import Any
from urllib.parse import unquote

from promptwire.errors import PromptConfigError
from promptwire.testing.langfuse_composition import refuse
from promptwire.testing.langfuse_http import authorize, conditional, json_body, method_not_allowed, page
from promptwire.testing.langfuse_schema import Query, check_create, check_labels
from promptwire.testing.langfuse_store import Project, Version
from promptwire.testing.server import LoopbackServer
from promptwire.testing.wire import Answer, Received, RefusedError

Handler = Callable[[], Answer]

_PROMPTS = "/api/public/v2/prompts"
_MAX_VERSION = 2**31 - 1
_ERRORS = {401: "UnauthorizedError", 403: "ForbiddenError", 404: "LangfuseNotFoundError", 409: "LangfuseConflictError"}
_PROJECT = {"id": "fake-project", "name": "fake", "metadata": {}, "organization": {"id": "fake", "name": "fake"}}
# The other endpoints that the official SDK calls of its own accord.
_BESIDE_PROMPTS: dict[str, object] = {
    "/api/public/health": {"status": "OK", "version": "4.16.0"},
    "/api/public/projects": {"data": [_PROJECT]},
    "/api/public/otel/v1/traces": {},
    "/api/public/ingestion": {"successes": [], "errors": []},
}


class FakeLangfuse(LoopbackServer):
    """A Langfuse project on loopback, for Promptwire, the official SDK or any client of the v2 prompts API."""

    def __init__(self, public_key: str = "pk-lf-1234", secret_key: str = "sk-lf-1234") -> None:  # noqa: S107  a made-up key
        super().__init__()
        self.public_key = public_key
        self.secret_key = secret_key
        self._project = Project()

    @property
    def env(self) -> dict[str, str]:
        """The environment of a client; the SDK's newer name for the host is in it, as it would win."""
        keys = {"LANGFUSE_PUBLIC_KEY": self.public_key, "LANGFUSE_SECRET_KEY": self.secret_key}
        return {"LANGFUSE_HOST": self.url, "LANGFUSE_BASE_URL": self.url, **keys}

    def publish(
        self,
        name: str,
        prompt: str | Sequence[dict[str, Any]],
        *,
        labels: Sequence[str] = ("production",),
        config: object = None,
        tags: Sequence[str] = (),
        commit_message: str | None = None,
    ) -> int:
        """Store a new version and return its number; unlike the API it takes broken compositions."""
        body = {"name": name, "type": "text", "prompt": prompt, "labels": list(labels), "config": config}
        if not isinstance(prompt, str):
            body.update(type="chat", prompt=[dict(message) for message in prompt])
        if tags:
            body["tags"] = list(tags)
        if commit_message is not None:
            body["commitMessage"] = commit_message
        try:
            return self._project.create(check_create(body), check_dependencies=False).version
        except RefusedError as refusal:
            raise PromptConfigError(f"Langfuse would refuse '{name}': {refusal.answer.body.decode()}") from refusal

    def unpublish(self, name: str) -> None:
        """Delete every version, even one that other prompts are composed of."""
        self._project.remove(self._project.select(lambda version: version.name == name), check_dependants=False)

    def error_body(self, status: int) -> object:
        if status == 429:
            return {"message": "Rate limit exceeded", "code": "rate_limited"}
        return {"message": HTTPStatus(status).phrase, "error": _ERRORS.get(status, "An unknown error occurred")}

    def answer(self, request: Received) -> Answer:
        handle = self._route(request)
        if handle is None:
            return page(request.path)
        try:
            authorize(request, self.public_key, self.secret_key)
            answer = handle()
        except RefusedError as refusal:
            answer = refusal.answer
        return conditional(request, answer)

    def _route(self, request: Received) -> Handler | None:
        if request.path in _BESIDE_PROMPTS:
            return lambda: Answer.of_json(200, _BESIDE_PROMPTS[request.path])
        if not request.path.startswith(_PROMPTS):
            return None
        by_method = self._methods(request, Query(request.query))
        return None if by_method is None else by_method.get(request.method, method_not_allowed)

    def _methods(self, request: Received, query: Query) -> dict[str, Handler] | None:
        match [unquote(part) for part in request.path.removeprefix(_PROMPTS).split("/")]:
            case [""]:
                return {"GET": lambda: self._list(query), "POST": lambda: self._create(request)}
            case ["", name] if name:
                return {"GET": lambda: self._get(name, query), "DELETE": lambda: self._delete(name, query)}
            case ["", name, "versions", version]:
                return {"PATCH": lambda: self._label(name, version, request)}
            case _:
                return None

    def _create(self, request: Received) -> Answer:
        return Answer.of_json(201, self._project.create(check_create(json_body(request))).row())

    def _get(self, name: str, query: Query) -> Answer:
        version, label, resolve = query.number("version"), query.text("label"), query.flag("resolve", default=True)
        if version and label:
            raise refuse(400, "InvalidRequestError", "Cannot specify both version and label")
        if version > _MAX_VERSION:
            raise refuse(500, "An unknown error occurred", "Internal Server Error")
        label = label or "production"
        found = self._project.select(
            lambda one: one.name == name and (one.version == version if version else label in one.labels)
        )
        if not found:
            where = f"version {version}" if version else f"label '{label}'"
            raise refuse(404, "LangfuseNotFoundError", f"Prompt not found: '{name}' with {where}")
        prompt, graph = self._project.resolve(found[0]) if resolve else (found[0].prompt, None)
        active = "production" in found[0].labels
        row = {**found[0].row(), "prompt": prompt, "isActive": active, "resolutionGraph": graph}
        return Answer.of_json(200, row)

    def _label(self, name: str, version: str, request: Received) -> Answer:
        labels = check_labels(json_body(request))
        if not version.isdecimal():
            raise refuse(500, "An unknown error occurred", "Internal Server Error")
        return Answer.of_json(200, self._project.add_labels(name, int(version), labels).row())

    def _delete(self, name: str, query: Query) -> Answer:
        version, label = query.number("version"), query.text("label")
        doomed = self._project.select(
            lambda one: one.name == name and version in {0, one.version} and (not label or label in one.labels)
        )
        if not doomed:
            raise refuse(404, "LangfuseNotFoundError", "Prompt not found")
        self._project.remove(doomed)
        return Answer(204)

    def _list(self, query: Query) -> Answer:
        page, limit = query.number("page", 1, low=1), query.number("limit", 10, low=1, high=100)
        found = groupby(self._project.select(_list_filter(query)), key=lambda version: version.name)
        rows = [_summary(list(versions)) for _, versions in found]
        pages = -(-len(rows) // limit)
        meta = {"page": page, "limit": limit, "totalPages": pages, "totalItems": len(rows)}
        return Answer.of_json(200, {"data": rows[(page - 1) * limit :][:limit], "meta": meta, "pagination": meta})


def _list_filter(query: Query) -> Callable[[Version], bool]:
    name, label, tag, version = query.text("name"), query.text("label"), query.text("tag"), query.number("version")
    after, before = query.date("fromUpdatedAt"), query.date("toUpdatedAt")

    def keep(one: Version) -> bool:
        updated = datetime.fromisoformat(one.updated_at)
        return (
            name in {None, one.name}
            and version in {0, one.version}
            and (label is None or label in one.labels)
            and (tag is None or tag in one.tags)
            and (after is None or updated >= datetime.fromisoformat(after))
            and (before is None or updated < datetime.fromisoformat(before))
        )

    return keep


def _summary(versions: list[Version]) -> dict[str, Any]:
    newest = versions[-1]
    return {
        "name": newest.name,
        "tags": newest.tags,
        "lastUpdatedAt": max(version.updated_at for version in versions),
        "versions": [version.version for version in versions],
        "labels": sorted({label for version in versions for label in version.labels}),
        "type": newest.type,
        "lastConfig": newest.config,
    }
