"""Langfuse: its public API. Composed prompts arrive resolved by the server."""

import base64
import hashlib
import os
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import quote

from promptwire.backends import PromptSummary, PromptVersion
from promptwire.backends.http import Http, is_base_url
from promptwire.backends.langfuse_writing import creation, parse_version, storable, write_json
from promptwire.errors import BackendError, ConfigurationError, PromptConfigError, PromptNotFoundError, raise_bare
from promptwire.messages import parse_messages
from promptwire.prompts import Prompt
from promptwire.refs import PromptRef

DEFAULT_HOST = "https://cloud.langfuse.com"
PAGE = 100


class LangfuseBackend:
    """Reads ``LANGFUSE_PUBLIC_KEY``, ``LANGFUSE_SECRET_KEY`` and ``LANGFUSE_BASE_URL`` (or its older name,
    ``LANGFUSE_HOST``) for what is not given. Without label and version the prompt labelled ``production`` is meant.
    """  # noqa: D205

    name = "langfuse"
    default_label = "production"
    stamp = None
    options: ClassVar[Mapping[str, str]] = {
        "langfuse_public_key": "public_key",
        "langfuse_secret_key": "secret_key",
        "langfuse_secret": "secret_key",
        "langfuse_host": "host",
    }

    def __init__(self, public_key: str | None = None, secret_key: str | None = None, host: str | None = None) -> None:
        public_key = public_key or _key("LANGFUSE_PUBLIC_KEY", "langfuse_public_key")
        secret_key = secret_key or _key("LANGFUSE_SECRET_KEY", "langfuse_secret_key")
        given = host or os.environ.get("LANGFUSE_BASE_URL") or os.environ.get("LANGFUSE_HOST") or DEFAULT_HOST
        self._prompts = f"{_checked(given)}/api/public/v2/prompts"
        pair = f"{public_key}:{secret_key}".encode()
        self._headers = {"authorization": f"Basic {base64.b64encode(pair).decode()}"}
        self.identity: Hashable = (given, hashlib.sha256(pair).hexdigest())

    def __reduce__(self) -> tuple[Any, ...]:
        """Without the keys: whoever loads it reads its own environment."""
        return type(self), (None, None, self._prompts.removesuffix("/api/public/v2/prompts"))

    def __deepcopy__(self, _: object) -> "LangfuseBackend":
        return self

    def fetch(self, ref: PromptRef, http: Http) -> Prompt:
        """GET the prompt; a name is one path segment, folders and all."""
        if isinstance(ref.version, str):
            raise ConfigurationError(f"{http.where}: Langfuse's versions are numbers")
        query = {"version": ref.version, "label": ref.label}
        body = http.get_json(f"{self._prompts}/{quote(ref.id, safe='')}", headers=self._headers, query=query)
        return parse_prompt(body, ref, http.where)

    def history(self, prompt_id: str, limit: int | None, http: Http) -> Sequence[PromptVersion]:
        """One request a version: the API lists their numbers only."""
        found = self._summaries(http, prompt_id)
        if not found:
            raise PromptNotFoundError(f"{http.where} does not exist there; check the id and the project")
        return [self._version(prompt_id, version, http) for version in sorted(found[0].versions, key=int)[::-1][:limit]]

    def _version(self, prompt_id: str, version: object, http: Http) -> PromptVersion:
        url = f"{self._prompts}/{quote(prompt_id, safe='')}"
        return parse_version(
            http.get_json(url, headers=self._headers, query={"version": version, "resolve": "false"}), http.where
        )

    def adapt(self, prompt: Prompt) -> Prompt:
        """Mustache, and of each message role and text."""
        return storable(prompt)

    def create(self, prompt: Prompt, labels: Sequence[str], message: str | None, http: Http) -> int:
        """POST it; tags that it doesn't have stay the prompt's."""
        body = write_json(self._prompts, "POST", creation(prompt, labels, message), self._headers, http)
        return parse_prompt(body, PromptRef(prompt.id), http.where).version  # type: ignore[return-value]

    def move_labels(self, ref: PromptRef, labels: Sequence[str], http: Http) -> None:
        """PATCH the version; the API takes no label away but to give it to another."""
        url = f"{self._prompts}/{quote(ref.id, safe='')}/versions/{ref.version}"
        write_json(url, "PATCH", {"newLabels": [*labels]}, self._headers, http)

    def list(self, http: Http) -> Sequence[PromptSummary]:
        """All prompts of the project."""
        return self._summaries(http)

    def _summaries(self, http: Http, name: str | None = None) -> Sequence[PromptSummary]:
        found: list[PromptSummary] = []
        page = pages = 1
        while page <= pages:
            query = {"name": name, "page": page, "limit": PAGE}
            body = http.get_json(self._prompts, headers=self._headers, query=query)
            try:
                found += [_summary(row) for row in body["data"]]
                pages = int(body["meta"]["totalPages"])
            except (KeyError, TypeError, ValueError, OverflowError):
                raise_bare(BackendError(f"{http.where}: the server's listing is not of Langfuse's shape"))
            page += 1
        return found


def parse_prompt(body: Any, ref: PromptRef, where: str) -> Prompt:
    """Langfuse's JSON as a prompt. An answer of another shape is a ``BackendError``."""
    prompt = body.get("prompt") if isinstance(body, dict) else None
    version = body.get("version") if isinstance(body, dict) else None
    if not isinstance(prompt, str | list) or not isinstance(version, int):
        raise BackendError(f"{where}: the server's answer is not of a prompt's shape. Is the host Langfuse's?")
    common: dict[str, Any] = {
        "backend": LangfuseBackend.name,
        "version": version,
        "labels": _texts(body.get("labels")),
        "tags": _texts(body.get("tags")),
        "config": checked_config(body.get("config"), where),
    }
    if isinstance(prompt, str):
        return Prompt(ref.id, text=prompt, **common)
    return Prompt(ref.id, messages=parse_messages([_plain(item) for item in prompt]), **common)


def checked_config(config: Any, where: str) -> dict[str, Any]:
    """A config is a mapping, or nothing."""
    if config is not None and not isinstance(config, dict):
        raise PromptConfigError(f"{where}: its config must be an object, not {type(config).__name__}")
    return config or {}


def _plain(item: Any) -> Any:
    """Without the vendor's ``type`` of ordinary messages, which no provider knows."""
    if not isinstance(item, dict) or item.get("type") == "placeholder":
        return item
    return {key: value for key, value in item.items() if key != "type"}


def _texts(value: object) -> tuple[str, ...]:
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()


def _summary(row: Mapping[str, Any]) -> PromptSummary:
    return PromptSummary(str(row["name"]), tuple(row["versions"]), _texts(row["labels"]), _texts(row["tags"]))


def _key(variable: str, keyword: str) -> str:
    value = os.environ.get(variable)
    if not value:
        raise ConfigurationError(f"langfuse needs a key: set {variable}, or pass {keyword}=")
    return value


def _checked(host: str) -> str:
    """The host without a trailing slash, if it is one."""
    if not is_base_url(host):
        raise ConfigurationError("langfuse: the host must be a URL like https://cloud.langfuse.com (LANGFUSE_HOST)")
    return host.rstrip("/")
