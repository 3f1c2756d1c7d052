"""LiteLLM's config file: what is read, what is noted, and errors that name file, line and key."""

from pathlib import Path
from typing import Any

import pytest

from promptwire.errors import ConfigurationError
from promptwire.proxy.config import read_config
from tests.proxy.conftest import config_of, entry

PAGE = """\
model_list:
  - model_name: my-langfuse-model
    litellm_params:
      model: langfuse/openai/gpt-3.5-turbo
      prompt_id: "<langfuse_prompt_id>"
      api_key: os.environ/OPENAI_API_KEY
      langfuse_public_key: pk-lf-1
      langfuse_secret: os.environ/MY_SECRET
      langfuse_host: http://127.0.0.1:1
  - model_name: humanloop-model
    litellm_params:
      model: humanloop/gpt-4o
      prompt_id: greet
      prompt_variables: {name: Ann}
      humanloop_api_key: hl-1
  - model_name: gpt-3.5-turbo
    litellm_params:
      model: azure/chatgpt-v-2
      api_key: os.environ/MY_SECRET
      api_base: https://example.openai.azure.com
      api_version: "2024-06-01"
      temperature: 0.5
      rpm: 10

litellm_settings:
  callbacks: ["langfuse"]
  drop_params: true

general_settings:
  master_key: os.environ/MY_SECRET
  database_url: x
"""


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_SECRET", "canary-secret")
    monkeypatch.setenv("OPENAI_API_KEY", "canary-openai")
    monkeypatch.setenv("LANGFUSE_PUBLIC_KEY", "pk")
    monkeypatch.setenv("LANGFUSE_SECRET_KEY", "sk")
    monkeypatch.setenv("HUMANLOOP_BASE_URL", "http://127.0.0.1:1")


def test_the_file_of_litellms_pages_is_read_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(PAGE)
    config = read_config(path)
    assert config.table.names == ("my-langfuse-model", "humanloop-model", "gpt-3.5-turbo")
    assert config.master_key == "canary-secret"
    assert config.notes == (
        f"{path}, line 26: litellm_settings.callbacks: is not used by Promptwire",
        f"{path}, line 27: litellm_settings.drop_params: is not used by Promptwire",
        f"{path}, line 31: general_settings.database_url: is not used by Promptwire",
        f"{path}, line 23: model_list[2].litellm_params.rpm: is not used by Promptwire",
    )
    assert config.summary == "3 models (my-langfuse-model, humanloop-model, gpt-3.5-turbo), 4 notes"
    azure = config.table.find("gpt-3.5-turbo")
    assert azure is not None
    assert azure.target is not None
    assert (azure.target.provider, azure.target.model, azure.params) == ("azure", "chatgpt-v-2", {"temperature": 0.5})
    for shown in (repr(config), repr(azure), str(config.notes)):
        assert "canary" not in shown


HEAD = "model_list:\n- model_name: m\n  litellm_params:\n    model: gpt-4o\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "config.yaml: is a mapping with a model_list"),
        ("[]", "config.yaml, line 1: is a mapping with a model_list"),
        ("a: 1", "config.yaml, line 1: model_list: is a list of entries"),
        ("modell_list: []", "line 1: modell_list: is unknown (did you mean 'model_list'?)"),
        ("model_list: []", "line 1: model_list: is a list of entries"),
        ("model_list:\n- x", "line 2: model_list[0]: is a mapping with model_name and litellm_params"),
        ("model_list:\n- litellm_params: {model: x}", "line 2: model_list[0].model_name: is a text"),
        ("model_list:\n- model_name: 5", "line 2: model_list[0].model_name: is a text"),
        ("model_list:\n- model_name: '*'", "line 2: model_list[0].model_name: holds a wildcard"),
        ("model_list:\n- model_name: m", "line 2: model_list[0].litellm_params: is a mapping that holds at least"),
        ("model_list:\n- model_nane: m", "line 2: model_list[0].model_nane: is unknown (did you mean 'model_name'?)"),
        ("model_list:\n- model_name: m\n  litellm_params: {}", "line 3: model_list[0].litellm_params: has no model"),
        (
            "model_list:\n- model_name: m\n  litellm_params:\n    model: 5",
            "line 4: model_list[0].litellm_params.model: ",
        ),
        (HEAD.replace("gpt-4o", "nix/x"), "line 4: model_list[0].litellm_params.model: model 'nix/x': there is no"),
        (
            HEAD.replace("gpt-4o", "xai/x"),
            "line 4: model_list[0].litellm_params.model: model xai/x needs a key: set XAI",
        ),
        (
            HEAD + "    prompt_di: x",
            "line 5: model_list[0].litellm_params.prompt_di: is no key of an entry (did you mean",
        ),
        (HEAD + "    temperature: hot", "line 5: model_list[0].litellm_params.temperature: must be a number, not str"),
        (
            HEAD + "    prompt_variables: [a]",
            "line 5: model_list[0].litellm_params.prompt_variables: must be a mapping",
        ),
        (HEAD + "    message_mode: both", "must be one of auto, replace, prepend, not str"),
        (HEAD + "    missing: [keep]", "must be one of error, keep, not list"),
        (HEAD + "    timeout: -1", "line 5: model_list[0].litellm_params.timeout: must be a number of seconds above 0"),
        (HEAD + "    max_retries: true", "must be a whole number from 0 to 10, not bool"),
        (HEAD + "    extra_headers: {a: 1}", "must be a mapping of names to texts, not dict"),
        (HEAD + "    allowed_models: openai/*", "must be a list of patterns like openai/*, not str"),
        (HEAD + "    api_key: 5", "line 5: model_list[0].litellm_params.api_key: must be a text, not int"),
        (
            HEAD + "    api_key: os.environ/NIX",
            "line 5: model_list[0].litellm_params.api_key: the environment variable NIX",
        ),
        (
            HEAD + "    base_url: a\n    api_base: b",
            "line 6: model_list[0].litellm_params.api_base: api_base is there twice",
        ),
        (HEAD + "    langfuse_host: http://x", "line 4: model_list[0].litellm_params.model: langfuse_host= is not for"),
        (HEAD + "    langfuse_host: 5", "line 5: model_list[0].litellm_params.langfuse_host: must be a text, not int"),
        (HEAD + "    prompt_label: {a: -1}", "prompt_label: must be a text, or weights by label, not dict"),
        (HEAD + "    prompt_id: ../x", "line 4: model_list[0].litellm_params.model: prompt id '../x'"),
        (
            HEAD + "    prompt_version: 3",
            "line 4: model_list[0].litellm_params.model: prompt_version: needs a prompt_id",
        ),
        (HEAD + "general_settings: 5", "line 5: general_settings: is a mapping"),
        (HEAD + "general_settings: {master_kye: x}", "line 5: general_settings.master_kye: is unknown (did you mean"),
        (HEAD + "general_settings:\n  master_key: 5", "line 6: general_settings.master_key: is a text of printable"),
        (HEAD + "general_settings:\n  master_key: ''", "line 6: general_settings.master_key: is a text of printable"),
        (
            HEAD + "general_settings:\n  master_key: os.environ/NIX",
            "line 6: general_settings.master_key: the environment",
        ),
        (HEAD + "    model: other", "config.yaml, line 5: model_list[0].litellm_params.model is there twice"),
        (HEAD + "model_list: []", "config.yaml, line 5: model_list is there twice"),
        (HEAD + "5: x", "config.yaml, line 5: a key is a text; put it in quotation marks"),
        (HEAD + "[a]: x", "config.yaml, line 5: a key is a text; put it in quotation marks"),
        ("a: &x [1]\nb: *x", "config.yaml, line 2: YAML tags and aliases are not read"),
        ("a: !!python/object/apply:os.system [x]", "config.yaml, line 1: YAML tags and aliases are not read"),
        ("a: b: c", "config.yaml, line 1: not YAML: mapping values are not allowed here"),
        ("a: [", "config.yaml, line 1: not YAML"),
        ("a: \x00", "config.yaml: not YAML: a character that it can't hold"),
        ("[" * 5000 + "]" * 5000, "config.yaml, line 1: nested too deeply"),
        ("a: 2001-99-99", "config.yaml: not usable: it holds an impossible date or number"),
    ],
)
def test_an_error_names_file_line_and_key(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        config_of(text)
    assert message in str(caught.value)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "can't be read (No such file"), (b"\xff\xfe", "is not UTF-8 text"), (b"#" * 1_000_001, "larger than 1 MB")],
)
def test_a_file_that_cant_be_read(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "config.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"config\.yaml: ") as caught:
        read_config(path)
    assert message in str(caught.value)


def listed(*entries: dict[str, Any]) -> Any:
    return config_of({"model_list": list(entries)})


def test_entries_that_point_to_each_other() -> None:
    with pytest.raises(ConfigurationError, match=r"line \d+: model_list\[0\]\.litellm_params\.model: points to itself"):
        listed(entry("a", "langfuse/b"), entry("b", "langfuse/a"))


def test_a_chain_of_entries() -> None:
    table = listed(
        entry("a", "langfuse/b", temperature=0.1),
        entry("b", "langfuse/c", temperature=0.2, prompt_id="p", missing="keep", langfuse_host="http://127.0.0.1:9"),
        entry("c", "openai/real", seed=3),
    ).table
    first = table.find("a")
    assert first is not None
    assert first.target is not None
    assert (first.target.model, dict(first.params)) == ("real", {"temperature": 0.1, "seed": 3})
    assert not first.prompt
    assert not first.rendering
    assert "127.0.0.1:9" not in str(first.backend and first.backend.identity)


def test_a_list_that_multiplies_is_refused() -> None:
    layers = [entry(f"n{level}", f"langfuse/n{level + 1}") for level in range(12) for _ in range(2)]
    with pytest.raises(ConfigurationError, match="more than 1000 deployments"):
        listed(*layers, entry("n12", "openai/x"))
    with pytest.raises(ConfigurationError, match="more than 1000 deployments"):
        listed(*(entry(f"m{number}", "openai/x") for number in range(1001)))


def test_a_null_is_not_given() -> None:
    table = listed(entry("m", "openai/x", temperature=None, api_base=None)).table
    found = table.find("m")
    assert found is not None
    assert not found.params


def test_an_entry_that_only_a_prompt_can_run_is_noted() -> None:
    [note] = listed(entry("m", "langfuse/groq/x")).notes
    assert "runs only prompts that name a model themselves" in note
    assert "GROQ_API_KEY" in note
