"""Humanloop's API on the wire: the official SDK's requests, as recorded, are ours and are known to the double."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from promptwire import Resolver
from promptwire.backends.http import Http
from promptwire.backends.humanloop import HumanloopBackend
from promptwire.errors import BackendError, PromptNotFoundError
from promptwire.testing import FakeHumanloop, Received

CASES = Path(__file__).parents[1] / "cases"
RECORDED = [json.loads(line) for line in (CASES / "humanloop_wire.jsonl").read_text("utf-8").splitlines()]


@pytest.fixture
def humanloop() -> Iterator[FakeHumanloop]:
    with FakeHumanloop() as server:
        yield server


def recorded(request: Received) -> tuple[object, ...]:
    return request.method, request.path, request.query, request.body and request.json, request.headers["x-api-key"]


def test_what_is_asked_is_what_the_official_sdk_asks(humanloop: FakeHumanloop) -> None:
    folder, prompt_id = "Personal Projects/Coding Assistant", "pr_30gco7dx6JDq4200GVOHa"
    humanloop.publish(
        folder, "Hi", prompt_id=prompt_id, environments=["production"], api_key="hl_sk_test", version_id="prv_1"
    )
    resolver = Resolver(HumanloopBackend("hl_sk_test", humanloop.url))
    resolver.get_prompt(prompt_id)
    resolver.get_prompt(prompt_id, version="prv_1")
    resolver.get_prompt(prompt_id, label="production")
    resolver.get_prompt(folder, label="production")
    resolver.list_prompts()
    asked = [recorded(request) for request in humanloop.requests]
    for case in RECORDED:
        address = urlsplit(case["path"])
        query = parse_qs(address.query)
        query.pop("include_raw_file_content", None)  # nothing reads it
        if "name" in query:
            query = {"page": query["page"], "size": ["100"]}
        one = (case["method"], address.path, query, case["body"] or b"", case["headers"]["X-API-KEY"])
        assert (one in asked) == (address.path != "/v5/prompts/missing"), case


def test_the_double_answers_what_the_official_sdk_asks(humanloop: FakeHumanloop) -> None:
    folder = "Personal Projects/Coding Assistant"
    prompt_id = "pr_30gco7dx6JDq4200GVOHa"
    humanloop.publish(folder, "x", prompt_id=prompt_id, environments=["production"], version_id="prv_1")
    for case in RECORDED:
        address = urlsplit(f"{humanloop.url.removesuffix('/v5')}{case['path']}")
        bare = f"{address.scheme}://{address.netloc}{address.path}"
        http = Http("case", lambda: time.monotonic() + 5)
        headers = {"x-api-key": humanloop.api_key}
        if address.path.endswith("missing"):
            with pytest.raises(PromptNotFoundError):
                http.get_json(bare, headers=headers)
        elif case["method"] == "POST":
            assert http.post_json(f"{bare}?{address.query}", case["body"], headers=headers)["id"] == prompt_id
        else:
            query = {name: values[0] for name, values in parse_qs(address.query).items()}
            answer = http.get_json(bare, headers=headers, query=query)
            assert answer.get("id", prompt_id) == prompt_id
            assert answer.get("records", [1]) != [] or query.get("name")


def test_the_double_refuses_what_the_api_does_not_know(humanloop: FakeHumanloop) -> None:
    humanloop.publish("p", "Hi", prompt_id="pr_1")
    http = Http("case", lambda: time.monotonic() + 5)
    headers = {"x-api-key": humanloop.api_key}
    with pytest.raises(BackendError, match="answered 422"):
        http.get_json(f"{humanloop.url}/prompts/pr_1", headers=headers, query={"version_id": "a", "environment": "b"})
    for path in ("", "/prompts/p", "/traces"):
        with pytest.raises(PromptNotFoundError):
            http.get_json(f"{humanloop.url}{path}", headers=headers)
    with pytest.raises(PromptNotFoundError):
        http.post_json(f"{humanloop.url}/files/retrieve-by-path", {"path": "p", "size": 1}, headers=headers)
