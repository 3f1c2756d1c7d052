"""No key where it could be read: the canaries are planted everywhere, and everything is searched."""

import copy
import pickle
from typing import Any

import pytest
from langchain_core.load import dumpd
from pydantic import SecretStr

from langchain_promptwire import ChatPromptwire, ChatPromptwireGateway
from promptwire.testing import FakeLangfuse, FakeOpenAI

KEY = "sk-canary-explicit"


@pytest.fixture
def keyed(langfuse: FakeLangfuse) -> Any:
    with FakeOpenAI(api_key=KEY) as server:
        yield server


def test_no_key_in_any_picture(keyed: FakeOpenAI, recorder: Any, langfuse: FakeLangfuse) -> None:
    given: dict[str, Any] = {"api_key": KEY, "base_url": keyed.url}
    model = ChatPromptwire(model="langfuse/gpt-4o", prompt_id="goodbye", prompt_variables={"name": "Ada"}, **given)
    gateway = ChatPromptwireGateway(model="gpt-4o", **given)
    pictures: list[object] = []
    for made in (model, gateway):
        assert made.invoke("x", {"callbacks": [recorder]}).content
        made.invoke("x", {"callbacks": [recorder]})
        pictures += [repr(made), str(made), dumpd(made), made.asdict(), made.model_dump()]
        pictures += [made.model_dump_json(), pickle.dumps(made)]
    pictures += [recorder.traced, recorder.llm_metadata]
    for picture in pictures:
        assert KEY not in repr(picture)
        assert langfuse.secret_key not in repr(picture)


def test_pickling_leaves_the_live_one_intact(keyed: FakeOpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    model = ChatPromptwire(
        model="langfuse/gpt-4o",
        prompt_id="goodbye",
        prompt_variables={"name": "Ada"},
        api_key=SecretStr(KEY),
        base_url=keyed.url,
    )
    model.invoke("x")
    twin = pickle.loads(pickle.dumps(model.bind(temperature=0.5)))  # noqa: S301 - our own
    assert model.invoke("x").content == "[gpt-4o] Goodbye Ada"
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    twin.invoke("x")
    assert keyed.requests[-1].json["temperature"] == 0.5
    assert copy.deepcopy(model).invoke("x").content == "[gpt-4o] Goodbye Ada"


def test_a_copy_without_the_key_names_the_variable(keyed: FakeOpenAI) -> None:
    gateway = ChatPromptwireGateway(model="gpt-4o", api_key=SecretStr(KEY))
    twin = pickle.loads(pickle.dumps(gateway))  # noqa: S301 - our own
    with pytest.raises(Exception, match="set OPENAI_API_KEY") as caught:
        twin.invoke("x")
    assert KEY not in repr(caught.value)
