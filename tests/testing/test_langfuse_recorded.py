"""The fake Langfuse answers as a real server did (version 4.16.0, recorded call by call)."""

import base64
import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from promptwire.testing import FakeLangfuse
from promptwire.testing.wire import Json

REPO = Path(__file__).parents[2]
SOURCES = [REPO / "tests/cases/langfuse_http.json", REPO.parent / "shared/contract/langfuse_http.json"]
KEYS = {"public_key": "pk-lf-local-test", "secret_key": "sk-lf-local-test"}
LEFT_OUT = {
    "v1-get": "the older API, which no current client speaks",
    "v1-get-version": "as above",
    "v1-get-no-name": "as above",
    "v1-post": "as above",
    "v1-post-no-active": "as above",
    "extra-get-org-key": "an organisation's key, which the fake has none of",
    "extra-org-key-patch": "as above",
    "extra-create-jsonb-order": "an integer beyond 2**53, which the server rounds to a double",
    "extra-get-jsonb-order": "as above",
    "extra-nul-char": "text that the server's database can't store",
    "extra-lone-surrogate": "as above",
}
# The listings show this prompt, but the call that made it is not in the recording.
UNRECORDED = {"before": "list-default", "name": "big", "prompt": "x"}
VOLATILE = {"id", "createdAt", "updatedAt", "lastUpdatedAt", "projectId"}


def plain(value: Json) -> Json:
    """A body without what differs from server to server."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("resolutionGraph"):
        value = {**value, "resolutionGraph": graph(value["resolutionGraph"])}
    if value.get("message") == "Invalid request data":
        return {"message": value["message"], "error": [(issue["code"], issue["path"]) for issue in value["error"]]}
    return {key: plain(item) for key, item in value.items() if key not in VOLATILE}


def graph(recorded: dict[str, Any]) -> list[tuple[str, list[str]]]:
    """Who is composed of whom, by name and version."""
    entries = [recorded["root"], *(entry for children in recorded["dependencies"].values() for entry in children)]
    names = {entry["id"]: f"{entry['name']}@{entry['version']}" for entry in entries}
    pairs = recorded["dependencies"].items()
    return [(names[parent], [names[child["id"]] for child in children]) for parent, children in pairs]


class Replay:
    def __init__(self, server: FakeLangfuse) -> None:
        self._server = server
        self._connection = http.client.HTTPConnection("127.0.0.1", int(server.url.rsplit(":", 1)[1]), timeout=10)
        self._etags: dict[str, str] = {}

    def close(self) -> None:
        self._connection.close()

    def send(self, request: dict[str, Any], defaults: dict[str, str]) -> tuple[http.client.HTTPResponse, Any]:
        headers = defaults | {name: self._etags.get(value, value) for name, value in request["headers"].items()}
        if request["authorization"] == "project keys":
            pair = f"{KEYS['public_key']}:{KEYS['secret_key']}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        elif request["authorization"] is not None:
            headers["Authorization"] = request["authorization"]
        body = request["body"]
        text = body if isinstance(body, str) or body is None else json.dumps(body)
        self._connection.request(request["method"], request["path"], text and text.encode(), headers)
        response = self._connection.getresponse()
        answered = response.read().decode()
        if response.getheader("Content-Type", "").startswith("application/json") and answered:
            return response, json.loads(answered)
        return response, answered

    def check(self, case: dict[str, Any]) -> str | None:
        """What differs from the recording."""
        if case["case"] == UNRECORDED["before"]:
            self._server.publish(UNRECORDED["name"], UNRECORDED["prompt"], labels=[])
        # What is called extra was recorded without the headers that its client sent.
        defaults = {"Content-Type": "application/json"} if case["case"].startswith("extra-") else {}
        response, body = self.send(case["request"], defaults)
        if "etag" in case["headers"] and response.getheader("ETag"):
            self._etags[case["headers"]["etag"]] = response.getheader("ETag", "")
        got = [response.status, plain(body), bool(response.getheader("ETag")), response.getheader("Location")]
        headers = case["headers"]
        want = [case["status"], plain(case["body"]), "etag" in headers, headers.get("location")]
        return None if got == want else f"{case['case']}: {want} was recorded, {got} came"


@pytest.fixture
def replay() -> Iterator[Replay]:
    with FakeLangfuse(**KEYS) as server:
        replay = Replay(server)
        yield replay
        replay.close()


@pytest.mark.parametrize("source", SOURCES, ids=["clone", "whole"])
def test_every_recorded_exchange_comes_out_the_same(replay: Replay, source: Path) -> None:
    if not source.exists():
        pytest.skip("the whole recording is not beside this clone")
    cases = [case for case in json.loads(source.read_text()) if case["case"] not in LEFT_OUT]
    assert len(cases) > 180
    differing = [problem for case in cases if (problem := replay.check(case)) is not None]
    assert not differing, "\n".join(differing)
