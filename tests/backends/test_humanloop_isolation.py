"""Callers who share everything see no trace of each other: variables, keys, hosts, projects."""

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import promptwire
from promptwire import Resolver
from promptwire.testing import FakeHumanloop, FakeLangfuse, FakeOpenAI
from tests.doubles.anthropic import FakeAnthropic

TEMPLATE = [{"role": "system", "content": "You serve {{who}} at HOST."}, {"role": "user", "content": "{{who}}: {{q}}"}]


@dataclass(frozen=True)
class Project:
    """A place that holds prompt ``p``, whose text has the place's own mark."""

    mark: str
    vendor: str
    options: dict[str, Any]

    def secrets(self) -> list[str]:
        """Its secrets, as they are and as Basic authorization hides them."""
        keys = [value for name, value in self.options.items() if name.endswith("_key")]
        return [*keys, base64.b64encode(":".join(keys).encode()).decode()]


@dataclass(frozen=True)
class World:
    """Places that share a prompt's id, some a host as well; model hosts on both wires, each with its own key."""

    projects: list[Project]
    models: dict[str, FakeOpenAI | FakeAnthropic]
    hosts: list[Any]


def marked(mark: str) -> list[dict[str, str]]:
    return [{**message, "content": message["content"].replace("HOST", mark)} for message in TEMPLATE]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with ExitStack() as stack:
        models: dict[str, FakeOpenAI | FakeAnthropic] = {
            "openai/first": stack.enter_context(FakeOpenAI(api_key="sk-of-the-first")),
            "openai/second": stack.enter_context(FakeOpenAI(api_key="sk-of-the-second")),
            "anthropic/third": stack.enter_context(FakeAnthropic(api_key="sk-of-the-third")),
        }
        projects, hosts = [], []
        for number in range(2):
            langfuse = stack.enter_context(FakeLangfuse(f"pk-lf-{number}", f"sk-lf-secret-{number}"))
            humanloop = stack.enter_context(FakeHumanloop())
            hosts += [langfuse, humanloop]
            langfuse.publish("p", marked(f"langfuse-{number}."))
            keys = {"langfuse_public_key": langfuse.public_key, "langfuse_secret_key": langfuse.secret_key}
            projects.append(Project(f"langfuse-{number}.", "langfuse", {**keys, "langfuse_host": langfuse.url}))
            for key in range(2):
                mark = f"humanloop-{number}-{key}."
                humanloop.publish("p", marked(mark), api_key=f"hl-secret-{number}-{key}")
                where = {"humanloop_api_key": f"hl-secret-{number}-{key}", "humanloop_base_url": humanloop.url}
                projects.append(Project(mark, "humanloop", where))
        yield World(projects, models, hosts)


def ask(world: World, resolver: Resolver, project: Project, who: str, model: str) -> str:
    """The answer's text."""
    at = world.models[model]
    answer = promptwire.completion(
        model=f"{project.vendor}/{model}", prompt_id="p", prompt_variables={"who": who, "q": "{{who}} {{q}}?"},
        user=who, api_key=at.api_key, api_base=at.url, resolver=resolver, ignore_prompt_model=True,
        **project.options,
    )  # fmt: skip
    return str(answer.choices[0].message.content)


def heard_by(model: Any, start: int) -> list[tuple[str, list[dict[str, str]]]]:
    """Who asked, and with which messages, in OpenAI's terms."""
    bodies = [request.json for request in model.requests[start:]]
    if isinstance(model, FakeAnthropic):
        bodies = [
            {"user": body["metadata"]["user_id"], "messages": [{"role": "system", "content": body["system"]}, *said]}
            for body in bodies
            for said in [body["messages"]]
        ]
    return [(body["user"], body["messages"]) for body in bodies]


def wanted(project: Project, who: str) -> list[dict[str, str]]:
    system, user = marked(project.mark)
    return [
        {**system, "content": system["content"].replace("{{who}}", who)},
        {**user, "content": f"{who}: {{{{who}}}} {{{{q}}}}?"},
    ]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), cache_ttl=st.sampled_from([0.0, 60.0]))
def test_no_trace_of_another_caller(world: World, data: st.DataObject, cache_ttl: float) -> None:
    places = st.tuples(st.sampled_from(world.projects), st.sampled_from(sorted(world.models)))
    drawn = data.draw(st.lists(places, min_size=2, max_size=8))
    callers = [(project, f"caller-{number}.", model) for number, (project, model) in enumerate(drawn)]
    resolver, start = Resolver(cache_ttl=cache_ttl), threading.Barrier(len(callers))
    before = {name: model.count for name, model in world.models.items()}
    answers: list[tuple[str, str]] = []

    def work(project: Project, who: str, model: str) -> None:
        start.wait(30)
        answers.extend((who, ask(world, resolver, project, who, model)) for _ in range(2))

    threads = [threading.Thread(target=work, args=caller) for caller in callers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    names = {who: model.partition("/")[2] for _, who, model in callers}
    assert sorted(answers) == sorted(2 * [(who, f"[{names[who]}] {who}: {{{{who}}}} {{{{q}}}}?") for who in names])
    for name, model in world.models.items():
        own = [(who, wanted(project, who)) for project, who, asked in callers if asked == name]
        assert sorted(heard_by(model, before[name]), key=str) == sorted(2 * own, key=str)
        for request in model.requests[before[name] :]:
            assert_no_key(world, name, json.dumps(request.headers) + request.body.decode())


def assert_no_key(world: World, name: str, text: str) -> None:
    """No prompt store's key goes to a model's host, nor another model's."""
    assert not any(key in text for project in world.projects for key in project.secrets())
    assert [other for other, model in world.models.items() if model.api_key in text] == [name]


def test_each_host_saw_its_own_keys_alone(world: World) -> None:
    for project in world.projects:
        ask(world, Resolver(), project, "someone", "openai/first")
    for host in world.hosts:
        for request in host.requests:
            heard = json.dumps(request.headers) + request.body.decode()
            strangers = [one for one in world.projects if host.url not in one.options.values()]
            for project in strangers:
                assert not any(key in heard for key in project.secrets()), project.mark
            assert "someone" not in heard
            assert not any(model.api_key in heard for model in world.models.values())
