"""What the fake Langfuse adds to the recorded exchanges: its own doors, and failures that a recording can't hold."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from promptwire.errors import PromptConfigError
from promptwire.testing import FakeLangfuse

PROMPTS = "/api/public/v2/prompts"


@pytest.fixture
def server() -> Iterator[FakeLangfuse]:
    with FakeLangfuse() as server:
        yield server


@pytest.fixture
def client(server: FakeLangfuse) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, auth=(server.public_key, server.secret_key), timeout=10) as client:
        yield client


def get(client: httpx.Client, name: str, **query: str) -> dict[str, Any]:
    response = client.get(f"{PROMPTS}/{quote(name, safe='')}", params=query)
    return {"status": response.status_code, **response.json()}


def tag(name: str) -> str:
    return f"@@@langfusePrompt:name={name}|label=production@@@"


def test_publish_stores_versions_as_the_api_would(server: FakeLangfuse, client: httpx.Client) -> None:
    assert server.publish("team/hi", "Hi", tags=["a"], config={"model": "gpt-4o"}) == 1
    assert server.publish("team/hi", "Hello", labels=["staging"], commit_message="friendlier") == 2
    assert get(client, "team/hi")["prompt"] == "Hi"
    second = get(client, "team/hi", label="staging")
    assert (second["version"], second["tags"], second["labels"]) == (2, ["a"], ["staging", "latest"])
    assert second["commitMessage"] == "friendlier"


def test_publish_takes_chats(server: FakeLangfuse, client: httpx.Client) -> None:
    messages = [{"role": "system", "content": "S"}, {"type": "placeholder", "name": "history"}]
    server.publish("chat", messages)
    assert (get(client, "chat")["type"], get(client, "chat")["prompt"]) == ("chat", messages)


def test_publish_refuses_what_the_server_would(server: FakeLangfuse) -> None:
    with pytest.raises(PromptConfigError, match=r"/lead.*cannot start with a slash"):
        server.publish("/lead", "x")
    with pytest.raises(PromptConfigError, match="received object"):
        server.publish("chat", [{"role": "user"}])


def test_env_is_a_clients_whole_configuration(server: FakeLangfuse) -> None:
    keys = {"LANGFUSE_PUBLIC_KEY": "pk-lf-1234", "LANGFUSE_SECRET_KEY": "sk-lf-1234"}
    assert server.env == {"LANGFUSE_HOST": server.url, "LANGFUSE_BASE_URL": server.url, **keys}


@pytest.mark.parametrize(
    ("children", "message"),
    [
        ({}, "Prompt dependency not found: a - label production"),
        ({"a": tag("top")}, "Circular dependency detected involving prompt 'top' version 1"),
        ({"a": [{"role": "user", "content": "x"}]}, "Prompt dependency is not a text prompt: a - label production"),
        ({"a": tag("b"), "b": tag("c"), "c": tag("d"), "d": tag("e"), "e": "x"}, "Maximum nesting depth exceeded (5)"),
    ],
)
def test_a_broken_composition_is_a_conflict(
    server: FakeLangfuse, client: httpx.Client, children: dict[str, Any], message: str
) -> None:
    server.publish("top", tag("a"))
    for name, prompt in children.items():
        server.publish(name, prompt)
    answer = get(client, "top")
    assert (answer["status"], answer["message"], answer["error"]) == (409, message, "LangfuseConflictError")
    assert get(client, "top", resolve="false")["prompt"] == tag("a")


def test_what_only_looks_like_a_tag_stays(server: FakeLangfuse, client: httpx.Client) -> None:
    text = "@@@langfusePrompt:name=a|id=1@@@ @@@langfusePrompt:name=a|version=x@@@ @@@langfusePrompt:a@@@"
    server.publish("p", text)
    assert (get(client, "p")["prompt"], get(client, "p")["resolutionGraph"]) == (text, None)


def test_a_cycle_below_the_top_is_too_deep(server: FakeLangfuse, client: httpx.Client) -> None:
    for name, child in (("top", "a"), ("a", "b"), ("b", "a")):
        server.publish(name, tag(child))
    assert get(client, "top")["message"] == "Maximum nesting depth exceeded (5)"


def test_unpublish_takes_a_prompt_away_from_under_its_dependants(server: FakeLangfuse, client: httpx.Client) -> None:
    server.publish("footer", "Bye")
    server.publish("page", [{"role": "user", "content": tag("footer")}])
    assert get(client, "page")["prompt"] == [{"role": "user", "content": "Bye"}]
    assert client.delete(f"{PROMPTS}/footer").status_code == 400
    server.unpublish("footer")
    assert get(client, "footer")["status"] == 404
    assert get(client, "page")["status"] == 409


def test_latest_falls_to_what_is_left(server: FakeLangfuse, client: httpx.Client) -> None:
    server.publish("p", "1")
    server.publish("p", "2")
    assert client.delete(f"{PROMPTS}/p", params={"version": 2}).status_code == 204
    assert get(client, "p", label="latest")["version"] == 1


def test_etags_strong_and_weak(server: FakeLangfuse, client: httpx.Client) -> None:
    server.publish("p", "1")
    etag = client.get(f"{PROMPTS}/p").headers["etag"]
    for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        response = client.get(f"{PROMPTS}/p", headers={"If-None-Match": known})
        assert (response.status_code, response.content, response.headers["etag"]) == (304, b"", etag)
    for headers in ({"If-None-Match": '"other"'}, {"If-None-Match": etag, "Cache-Control": "no-cache"}):
        assert client.get(f"{PROMPTS}/p", headers=headers).status_code == 200
    server.publish("p", "2")
    assert client.get(f"{PROMPTS}/p", headers={"If-None-Match": etag}).status_code == 200


@pytest.mark.parametrize("path", [f"{PROMPTS}/team/hi", f"{PROMPTS}x", "/login", "/", f"{PROMPTS}/a/versions/1/x"])
def test_other_addresses_are_html(client: httpx.Client, path: str) -> None:
    response = client.get(path)
    assert (response.status_code, response.headers["content-type"]) == (404, "text/html; charset=utf-8")


def test_the_sdks_other_addresses_answer(client: httpx.Client) -> None:
    assert client.get("/api/public/health").json()["status"] == "OK"
    assert client.get("/api/public/projects").json()["data"][0]["id"] == "fake-project"


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, {"message": "Not Found", "error": "LangfuseNotFoundError"}),
        (429, {"message": "Rate limit exceeded", "code": "rate_limited"}),
        (500, {"message": "Internal Server Error", "error": "An unknown error occurred"}),
    ],
)
def test_failures_look_like_langfuses(
    server: FakeLangfuse, client: httpx.Client, status: int, body: dict[str, str]
) -> None:
    server.fail(status)
    response = client.get(f"{PROMPTS}/p")
    assert (response.status_code, response.json()) == (status, body)


@pytest.mark.parametrize(
    ("method", "path", "body", "path_of_error"),
    [
        ("POST", PROMPTS, {"name": "b", "prompt": "x", "commitMessage": 5}, "commitMessage"),
        ("POST", PROMPTS, {"name": "b", "prompt": "x", "tags": "t"}, "tags"),
        ("POST", PROMPTS, {"name": "b", "type": "chat", "prompt": [5]}, "prompt"),
        ("POST", PROMPTS, {"name": "b", "type": "chat", "prompt": [{"type": "placeholder"}]}, "prompt"),
        ("PATCH", f"{PROMPTS}/b/versions/1", [], "newLabels"),
        ("PATCH", f"{PROMPTS}/b/versions/1", {"newLabels": [5]}, "newLabels"),
    ],
)
def test_more_invalid_data(client: httpx.Client, method: str, path: str, body: object, path_of_error: str) -> None:
    response = client.request(method, path, json=body)
    assert (response.status_code, response.json()["message"]) == (400, "Invalid request data")
    assert f'"{path_of_error}"' in response.text


def test_null_tags_are_none_given(server: FakeLangfuse, client: httpx.Client) -> None:
    server.publish("p", "1", tags=["a"])
    body = {"name": "p", "prompt": "2", "tags": None}
    assert client.post(PROMPTS, json=body).json()["tags"] == ["a"]


def test_lists_what_was_updated_since(server: FakeLangfuse, client: httpx.Client) -> None:
    server.publish("p", "1")
    before, after = "2000-01-01T00:00:00Z", datetime.now(UTC).replace(year=2999).isoformat()
    query = {"fromUpdatedAt": before, "toUpdatedAt": after}
    assert client.get(PROMPTS, params=query).json()["meta"]["totalItems"] == 1
    assert client.get(PROMPTS, params={"toUpdatedAt": before}).json()["data"] == []
