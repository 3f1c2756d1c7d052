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
    """Places that share a prompt's id; some share a host as well."""

    projects: list[Project]
    model: FakeOpenAI
    hosts: list[Any]


def marked(mark: str) -> list[dict[str, str]]:
    return [{**message, "content": message["content"].replace("HOST", mark)} for message in TEMPLATE]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with ExitStack() as stack:
        model = stack.enter_context(FakeOpenAI())
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
        yield World(projects, model, hosts)


def ask(world: World, resolver: Resolver, project: Project, who: str) -> None:
    promptwire.completion(
        model=f"{project.vendor}/gpt-4o", prompt_id="p", prompt_variables={"who": who, "q": "{{who}} {{q}}?"},
        user=who, api_key=world.model.api_key, api_base=world.model.url, resolver=resolver, **project.options,
    )  # fmt: skip


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), cache_ttl=st.sampled_from([0.0, 60.0]))
def test_no_trace_of_another_caller(world: World, data: st.DataObject, cache_ttl: float) -> None:
    places = data.draw(st.lists(st.sampled_from(world.projects), min_size=2, max_size=8))
    callers = [(project, f"caller-{number}.") for number, project in enumerate(places)]
    resolver, start, before = Resolver(cache_ttl=cache_ttl), threading.Barrier(len(callers)), world.model.count

    def work(project: Project, who: str) -> None:
        start.wait(30)
        for _ in range(2):
            ask(world, resolver, project, who)

    threads = [threading.Thread(target=work, args=caller) for caller in callers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    sent = world.model.requests[before:]
    assert len(sent) == 2 * len(callers)
    own = {who: project for project, who in callers}
    for request in sent:
        who = request.json["user"]
        wanted = [{**m, "content": m["content"].replace("{{who}}", who)} for m in marked(own[who].mark)]
        wanted[1]["content"] = f"{who}: {{{{who}}}} {{{{q}}}}?"
        assert request.json["messages"] == wanted
        assert_no_key(world, json.dumps(request.headers) + request.body.decode())


def assert_no_key(world: World, text: str) -> None:
    """No prompt store's key goes to the model's host."""
    assert not any(key in text for project in world.projects for key in project.secrets())


def test_each_host_saw_its_own_keys_alone(world: World) -> None:
    for project in world.projects:
        ask(world, Resolver(), project, "someone")
    for host in world.hosts:
        for request in host.requests:
            heard = json.dumps(request.headers) + request.body.decode()
            strangers = [one for one in world.projects if host.url not in one.options.values()]
            for project in strangers:
                assert not any(key in heard for key in project.secrets()), project.mark
            assert "someone" not in heard
            assert world.model.api_key not in heard
