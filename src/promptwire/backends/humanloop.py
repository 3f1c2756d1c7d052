"""Humanloop: its API (version 5) or a server that speaks it, its export script's folder, and ``.prompt`` files."""

import hashlib
import os
from collections.abc import Callable, Generator, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote, urlencode

from promptwire.backends import PromptSummary, PromptVersion
from promptwire.backends.http import Http, is_base_url
from promptwire.backends.humanloop_prompt import environments, is_record, parse_prompt, parse_version, texts
from promptwire.errors import BackendAuthError, BackendError, ConfigurationError, PromptNotFoundError
from promptwire.prompts import Prompt
from promptwire.refs import PromptRef

DEFAULT_BASE_URL = "https://api.humanloop.com/v5"
PAGE = 100

_CLOSED = (
    "Humanloop's own service closed in September 2025. There are two ways out: the base URL of a compatible server "
    "(HUMANLOOP_BASE_URL or humanloop_base_url=), or the folder of an export (HUMANLOOP_DIR or humanloop_dir=)."
)


class HumanloopBackend:
    """Asks a server, or with ``root`` reads a folder; where no argument decides, ``HUMANLOOP_DIR`` does if it is set.

    A server's prompts are named by id (``pr_…``) or path, in a folder also by their name alone; a label is an
    environment, a version a version's id (``prv_…``), and without either the default environment's version is meant.
    Reads ``HUMANLOOP_API_KEY`` and ``HUMANLOOP_BASE_URL`` for what is not given. A folder is the one that Humanloop's
    export script wrote, ``files`` in it, or holds the ``.prompt`` files of ``humanloop pull``.
    """

    name = "humanloop"
    default_label = None
    options: ClassVar[Mapping[str, str]] = {
        "humanloop_api_key": "api_key",
        "humanloop_base_url": "base_url",
        "humanloop_dir": "root",
    }

    def __init__(self, api_key: str | None = None, base_url: str | None = None, root: str | Path | None = None) -> None:
        if root and (api_key or base_url):
            raise ConfigurationError("humanloop: give a folder or a server (its key and base URL), not both")
        root = root or (None if api_key or base_url else os.environ.get("HUMANLOOP_DIR"))
        self.stamp: Callable[[PromptRef], Hashable] | None = None
        if root:
            from promptwire.backends.humanloop_files import HumanloopFolder

            self._source: Any = HumanloopFolder(root)
            self.stamp = self._source.stamp
        else:
            self._source = _Server(api_key, base_url)
        self.identity: Hashable = self._source.identity

    def __reduce__(self) -> tuple[Any, ...]:
        """Without the key: whoever loads it reads its own environment."""
        return type(self), self._source.arguments

    def __deepcopy__(self, _: object) -> "HumanloopBackend":
        return self

    def fetch(self, ref: PromptRef, http: Http) -> Prompt:
        """The version that is meant."""
        prompt: Prompt = self._source.fetch(ref, http)
        return prompt

    def history(self, prompt_id: str, limit: int | None, http: Http) -> Sequence[PromptVersion]:
        """By date; a ``.prompt`` file has no history."""
        told = sorted(self._source.versions(prompt_id, http), key=_date, reverse=True)
        return told[:limit]

    def list(self, http: Http) -> Sequence[PromptSummary]:
        """All prompts by path, with their versions and environments."""
        return sorted(self._source.summaries(http), key=lambda summary: summary.id)


class _Server:
    def __init__(self, api_key: str | None, base_url: str | None) -> None:
        key = api_key or os.environ.get("HUMANLOOP_API_KEY")
        base = base_url or os.environ.get("HUMANLOOP_BASE_URL") or DEFAULT_BASE_URL
        if not key:
            raise ConfigurationError(
                "humanloop needs a key: set HUMANLOOP_API_KEY, or pass humanloop_api_key=; "
                "an export's folder needs none: set HUMANLOOP_DIR, or pass humanloop_dir="
            )
        if not is_base_url(base):
            raise ConfigurationError(
                f"humanloop: the base URL must be one like {DEFAULT_BASE_URL} (HUMANLOOP_BASE_URL)"
            )
        self._base = base.rstrip("/")
        self._headers = {"x-api-key": key}
        self.arguments = (None, self._base)
        self.identity: Hashable = (self._base, hashlib.sha256(key.encode()).hexdigest())

    def fetch(self, ref: PromptRef, http: Http) -> Prompt:
        with self._reached(http) as reached:
            ask = self._by_id if ref.id.startswith("pr_") else self._by_path
            body = ask(ref, reached)
            return parse_prompt(_checked(body, http.where), ref.id, http.where)

    def summaries(self, http: Http) -> Iterator[PromptSummary]:
        with self._reached(http) as reached:
            for record in self._records(reached):
                versions = self._versions(record, reached)
                yield PromptSummary(
                    record["path"],
                    texts([version.get("version_id") for version in versions]),
                    tuple(dict.fromkeys(name for version in versions for name in environments(version))),
                    texts(record.get("tags")),
                )

    def versions(self, prompt_id: str, http: Http) -> Iterator[PromptVersion]:
        with self._reached(http) as reached:
            found = (self._by_id if prompt_id.startswith("pr_") else self._by_path)(PromptRef(prompt_id), reached)
            yield from map(parse_version, self._versions(_checked(found, http.where), reached))

    def _by_id(self, ref: PromptRef, http: Http) -> Any:
        query = {"version_id": ref.version, "environment": ref.label}
        return self._get(f"/prompts/{quote(ref.id, safe='')}", http, query)

    def _by_path(self, ref: PromptRef, http: Http) -> Any:
        """The API has no version by path: there it is asked for by the id that the path leads to."""
        query = f"?{urlencode({'environment': ref.label})}" if ref.label is not None else ""
        url = f"{self._base}/files/retrieve-by-path{query}"
        body = http.post_json(url, {"path": ref.id}, headers=self._headers)
        if ref.version is None:
            return body
        prompt_id = body.get("id") if isinstance(body, dict) else None
        return self._by_id(replace(ref, id=prompt_id), http) if isinstance(prompt_id, str) else None

    def _records(self, http: Http) -> Iterator[dict[str, Any]]:
        """Every prompt's record, until a page brings no new one."""
        seen: set[str] = set()
        page = fresh = 1
        while fresh:
            records = _rows(self._get("/prompts", http, {"page": page, "size": PAGE}), http.where)
            new = {record["path"]: record for record in records if record["path"] not in seen}
            yield from new.values()
            seen.update(new)
            page, fresh = page + 1, len(new)

    def _versions(self, record: dict[str, Any], http: Http) -> list[dict[str, Any]]:
        """A prompt's versions; where a server has no list of them, the one that was listed."""
        try:
            return _rows(self._get(f"/prompts/{quote(str(record.get('id')), safe='')}/versions", http), http.where)
        except PromptNotFoundError:
            return [record]

    def _get(self, path: str, http: Http, query: Mapping[str, object] | None = None) -> Any:
        return http.get_json(f"{self._base}{path}", headers=self._headers, query=query)

    @contextmanager
    def _reached(self, http: Http) -> Generator[Http]:
        """The closed service fails in time to say so, and says what to do."""
        if self._base != DEFAULT_BASE_URL:
            yield http
            return
        try:
            yield http.within(http.where, 0.9)
        except BackendAuthError:
            raise
        except BackendError as error:
            error.args = (f"{str(error).rstrip('.')}. {_CLOSED}",)
            error.retryable &= error.status_code is not None
            raise


def _date(version: PromptVersion) -> datetime:
    return version.created_at or datetime.min.replace(tzinfo=UTC)


def _checked(body: object, where: str) -> dict[str, Any]:
    if not is_record(body):
        raise BackendError(f"{where}: the server's answer is not of a prompt's shape. Is the base URL Humanloop's?")
    return body


def _rows(body: object, where: str) -> list[dict[str, Any]]:
    rows = body.get("records") if isinstance(body, dict) else None
    if not isinstance(rows, list) or not all(isinstance(r, dict) and isinstance(r.get("path"), str) for r in rows):
        raise BackendError(f"{where}: the server's listing is not of Humanloop's shape")
    return rows
