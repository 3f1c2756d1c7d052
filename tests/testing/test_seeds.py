"""What the demo and users' tests start with: embedded servers, files published, requests kept."""

import os
from pathlib import Path

import pytest

import promptwire
from promptwire.default import default_resolver
from promptwire.log import logger
from promptwire.testing import FakeLangfuse, RequestLog, doubles, embedded, publish_file


def test_the_environment_points_at_the_servers_and_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGFUSE_HOST", "http://127.0.0.1:9")
    before, resolver = dict(os.environ), default_resolver()
    with embedded() as langfuse:
        assert langfuse is not None
        assert os.environ["LANGFUSE_HOST"] == langfuse.url
        assert default_resolver() is not resolver
        langfuse.publish("greeting", "Hello {{name}}")
        answer = promptwire.completion(model="langfuse/m", prompt_id="greeting", prompt_variables={"name": "Ann"})
        assert answer.choices[0].message.content == "[m] Hello Ann"
    assert dict(os.environ) == before
    assert default_resolver() is resolver


def test_only_what_is_asked_for_is_embedded() -> None:
    with embedded(langfuse=False, openai=False) as nothing:
        assert nothing is None
        assert "OPENAI_BASE_URL" not in os.environ


def test_files_are_published_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "text.yaml").write_text("text: Hello {{name}}\nmodel: gpt-4o\ntemplate_format: mustache\n")
    (tmp_path / "chat@2.yaml").write_text(
        "messages: [{role: system, content: S}, {placeholder: history}]\ntemplate_format: mustache\n"
    )
    with FakeLangfuse() as langfuse:
        assert publish_file(langfuse, tmp_path, "text") == 1
        assert publish_file(langfuse, tmp_path, "chat", version=2) == 1
        backend = promptwire.Resolver().open_backend(
            "langfuse", public_key=langfuse.public_key, secret_key=langfuse.secret_key, host=langfuse.url
        )
        text = promptwire.Resolver(backend).get_prompt("text")
        assert (text.text, text.model) == ("Hello {{name}}", "gpt-4o")
        assert promptwire.Resolver(backend).get_prompt("chat").placeholders == ("history",)


def test_requests_are_kept_with_their_keys_masked(capsys: pytest.CaptureFixture[str]) -> None:
    with embedded(langfuse=False), RequestLog() as sent:
        logger.debug("a note that is no request")
        assert sent.last == ""
        promptwire.completion(model="m", messages=[{"role": "user", "content": "Hello"}])
        assert '"content": "Hello"' in sent.last
        assert "authorization: *****" in sent.last
        assert os.environ["OPENAI_API_KEY"] not in sent.last
    assert capsys.readouterr().err == ""


def test_doubles_stand_in_for_what_has_no_keys_until_they_are_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    before, resolver = dict(os.environ), default_resolver()
    first = doubles()
    first.langfuse.publish("greeting", "Hello {{name}}")  # type: ignore[union-attr]
    assert promptwire.get_prompt("greeting", backend="langfuse").version == 1
    second = doubles()  # as when a notebook's first cell runs again
    with pytest.raises(promptwire.PromptNotFoundError):
        promptwire.get_prompt("greeting", backend="langfuse")
    assert os.environ["LANGFUSE_HOST"] == second.langfuse.url  # type: ignore[union-attr]
    second.stop()
    assert (dict(os.environ), default_resolver()) == (before, resolver)


def test_doubles_leave_what_has_been_set_since_and_stop_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "MY_DATABASE"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    first = doubles()
    os.environ.update(OPENAI_API_KEY="mine", MY_DATABASE="mine, too")
    second = doubles()
    assert second.openai is None
    assert "OPENAI_BASE_URL" not in os.environ
    first.stop()
    second.langfuse.publish("greeting", "Hello {{name}}")  # type: ignore[union-attr]
    assert promptwire.get_prompt("greeting", backend="langfuse").version == 1
    for _ in range(2):
        second.stop()
        assert "LANGFUSE_HOST" not in os.environ
        assert (os.environ["OPENAI_API_KEY"], os.environ["MY_DATABASE"]) == ("mine", "mine, too")


@pytest.mark.parametrize("key", ["LANGFUSE_PUBLIC_KEY", "OPENAI_API_KEY"])
def test_a_service_with_a_key_is_used_itself(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv(key, "mine")
    servers = doubles()
    assert (servers.langfuse is None, servers.openai is None) == (key == "LANGFUSE_PUBLIC_KEY", key == "OPENAI_API_KEY")
    assert "yours, by the keys" in servers._repr_mimebundle_()["text/plain"]
    assert os.environ[key] == "mine"
    servers = doubles(langfuse=True)
    assert servers.langfuse is not None
    servers.stop()
