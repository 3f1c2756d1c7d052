"""A Humanloop server for tests: what of its API (version 5) reads prompts."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote

from promptwire.testing.server import LoopbackServer
from promptwire.testing.wire import Answer, Json, Received, RefusedError

Handler = Callable[[], Answer]

_ENVIRONMENTS = {"production": "default"}
_EPOCH = datetime(2025, 1, 2, tzinfo=UTC)


class FakeHumanloop(LoopbackServer):
    """Humanloop on loopback; every key that something was published under is an organization of its own.

    ``production`` is the default environment. Its version is meant where none is named, else the newest.
    """

    def __init__(self, api_key: str = "hl-test-key") -> None:
        super().__init__()
        self.api_key = api_key
        self._prompts: dict[str, dict[str, list[dict[str, Any]]]] = {api_key: {}}
        self._files, self._versions = itertools.count(1), itertools.count(1)

    @property
    def url(self) -> str:
        """The base URL of a client, which ends in ``/v5``."""
        return f"{super().url}/v5"

    @property
    def env(self) -> dict[str, str]:
        return {"HUMANLOOP_API_KEY": self.api_key, "HUMANLOOP_BASE_URL": self.url}

    def publish(
        self,
        path: str,
        template: str | Sequence[Mapping[str, Any]] | None,
        *,
        environments: Sequence[str] = (),
        api_key: str | None = None,
        prompt_id: str | None = None,
        **fields: object,
    ) -> str:
        """Store a new version, deployed to ``environments``, and return its id; ``fields`` are the record's own."""
        versions = self._prompts.setdefault(api_key or self.api_key, {}).setdefault(path, [])
        for older in versions:
            older["environments"] = [one for one in older["environments"] if one["name"] not in environments]
        record = {
            **(_record(path, next(self._versions))),
            "id": versions[0]["id"] if versions else prompt_id or f"pr_{next(self._files)}",
            "template": template if isinstance(template, str | None) else [dict(message) for message in template],
            "environments": [_environment(name) for name in environments],
            **fields,
        }
        versions.append(record)
        return str(record["version_id"])

    def error_body(self, status: int) -> object:
        return {"detail": f"Fake failure {status}"}

    def answer(self, request: Received) -> Answer:
        prompts = self._prompts.get(request.headers.get("x-api-key", ""))
        if prompts is None:
            raise _refuse(401, "Invalid API key")
        path = [unquote(part) for part in request.path.split("/")]
        match request.method, path:
            case "GET", ["", "v5", "prompts"]:
                return _page(request, [_chosen(versions, request) for versions in prompts.values()])
            case "GET", ["", "v5", "prompts", prompt_id]:
                return Answer.of_json(200, _chosen(_by_id(prompts, prompt_id), request))
            case "GET", ["", "v5", "prompts", prompt_id, "versions"]:
                return Answer.of_json(200, {"records": _by_id(prompts, prompt_id)[::-1]})
            case "POST", ["", "v5", "files", "retrieve-by-path"]:
                asked = request.json
                versions = prompts.get(asked["path"]) if set(asked) == {"path"} else None
                return Answer.of_json(200, _chosen(versions or _none(), request))
            case _:
                raise _refuse(404, "Not Found")


def _record(path: str, number: int) -> dict[str, Any]:
    """The fields that every version has, as the API spells them out."""
    made = (_EPOCH + timedelta(days=number)).isoformat()
    return {
        "path": path, "name": path.rpartition("/")[2], "type": "prompt", "version_id": f"prv_{number}",
        "directory_id": "dir_1", "model": "gpt-4o", "endpoint": "chat", "template_language": "default",
        "provider": "openai", "max_tokens": -1, "temperature": None, "top_p": None, "stop": None,
        "presence_penalty": None, "frequency_penalty": None, "other": None, "seed": None, "response_format": None,
        "reasoning_effort": None, "tools": [], "linked_tools": [], "attributes": {}, "tags": [], "inputs": [],
        "created_at": made, "updated_at": made, "last_used_at": made, "version_logs_count": 0, "total_logs_count": 0,
        "evaluators": [], "evaluator_aggregates": [], "created_by": None,
    }  # fmt: skip


def _environment(name: str) -> dict[str, str]:
    tag = _ENVIRONMENTS.get(name, "other")
    return {"id": f"env_{name}", "created_at": _EPOCH.isoformat(), "name": name, "tag": tag}


def _by_id(prompts: Mapping[str, list[dict[str, Any]]], prompt_id: str) -> list[dict[str, Any]]:
    return next((versions for versions in prompts.values() if versions[0]["id"] == prompt_id), None) or _none()


def _chosen(versions: list[dict[str, Any]], request: Received) -> dict[str, Json]:
    version = request.query.get("version_id", [None])[0]
    name = request.query.get("environment", [None])[0]
    if version and name:
        raise _refuse(422, "Only one of version_id and environment can be specified")
    if version:
        found = [record for record in versions if record["version_id"] == version]
    else:
        found = [record for record in versions if any(_is(one, name) for one in record["environments"])]
    return (found or ([versions[-1]] if not version and not name else _none()))[0]


def _is(environment: Mapping[str, str], name: str | None) -> bool:
    return environment["tag"] == "default" if name is None else environment["name"] == name


def _page(request: Received, records: list[dict[str, Json]]) -> Answer:
    page, size = (int(request.query.get(key, [default])[0]) for key, default in (("page", "1"), ("size", "10")))
    name = request.query.get("name", [""])[0]
    found = [record for record in records if name in record["name"]]
    shown = found[(page - 1) * size :][:size]
    return Answer.of_json(200, {"records": shown, "page": page, "size": size, "total": len(found)})


def _none() -> list[dict[str, Any]]:
    raise _refuse(404, "File not found")


def _refuse(status: int, detail: str) -> RefusedError:
    return RefusedError(Answer.of_json(status, {"detail": detail}))
