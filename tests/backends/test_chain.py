"""Several backends in order: who serves, why others don't, and what an outage costs."""

import copy
import logging
import pickle
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import promptwire
from promptwire import Prompt, PromptRef, PromptSummary, Resolver
from promptwire.backends.chain import Chain
from promptwire.backends.files import FilesBackend
from promptwire.backends.http import Http
from promptwire.backends.humanloop import HumanloopBackend
from promptwire.backends.langfuse import LangfuseBackend
from promptwire.backends.memory import MemoryBackend
from promptwire.errors import (
    BackendAuthError,
    BackendError,
    BackendUnavailableError,
    ConfigurationError,
    PromptConfigError,
    PromptNotFoundError,
    PromptwireError,
    TemplateError,
)
from promptwire.testing import FakeHumanloop, FakeLangfuse, FakeOpenAI
from promptwire.testing.contract import SEEDS, BackendContract

Write = Callable[..., Path]


class TestContract(BackendContract):
    """The second member has everything, the first a prompt that nobody asks for."""

    def open(self) -> Chain:
        full = MemoryBackend()
        for seed in SEEDS:
            full.publish(seed.id, seed.content, labels=seed.labels, config=seed.config)
        return Chain([MemoryBackend(), full])


@pytest.fixture
def langfuse(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeLangfuse]:
    with FakeLangfuse() as server:
        for name, value in server.env.items():
            monkeypatch.setenv(name, value)
        yield server


@pytest.fixture
def humanloop(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHumanloop]:
    with FakeHumanloop() as server:
        for name, value in server.env.items():
            monkeypatch.setenv(name, value)
        yield server


def raising(error: BaseException) -> Callable[..., Any]:
    def reply(ref: PromptRef, http: Http) -> Any:
        raise error

    return reply


def test_who_serves_and_why_not_the_first(langfuse: FakeLangfuse) -> None:
    langfuse.publish("both", "from langfuse")
    resolver = Resolver(Chain(["langfuse", MemoryBackend({"both": "from memory", "own": "mine"})]))
    first = resolver.get_prompt("both")
    assert (first.text, first.backend, first.passed_over) == ("from langfuse", "langfuse", ())
    second = resolver.get_prompt("own")
    assert (second.text, second.backend) == ("mine", "memory")
    assert len(second.passed_over) == 1
    assert second.passed_over[0].startswith("langfuse prompt 'own' (label 'production') does not exist")
    assert pickle.loads(pickle.dumps(second)).passed_over == second.passed_over  # noqa: S301 - ours


def test_a_call_says_who_served(langfuse: FakeLangfuse, monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    (root / "p.yaml").write_text("text: Hi {{ name }}")
    monkeypatch.setenv("PROMPTWIRE_CHAIN", " langfuse, files ,")
    monkeypatch.setenv("PROMPTWIRE_PROMPTS_DIR", str(root))
    with FakeOpenAI() as model:
        answer: Any = promptwire.completion(
            model="chain/gpt-4o", prompt_id="p", prompt_variables={"name": "Ann"}, resolver=Resolver(),
            api_key=model.api_key, api_base=model.url,
        )  # fmt: skip
    assert answer.prompt.prompt_backend == "files"
    assert "langfuse prompt 'p'" in answer.prompt.passed_over[0]
    langfuse.publish("p", "Hello")
    assert Resolver("chain").get_prompt("p").backend == "langfuse"


OUTAGES: list[tuple[Callable[[FakeLangfuse], object], str]] = [
    (lambda server: server.stop(), "could not connect"),
    (lambda server: server.hang(), "timed out"),
    (lambda server: server.drip(0.05), "timed out"),
    (lambda server: server.drop(0), "the connection broke off"),
    (lambda server: server.fail(503), "the server answered 503"),
    (lambda server: server.fail(429, retry_after=60), "the server answered 429"),
    (lambda server: server.garbage(), "its body is not JSON"),
    (lambda server: server.redirect("http://127.0.0.1:9"), "the server answered 307"),
    (lambda server: server.fail(401), "the server refused the credentials"),
]


@pytest.mark.parametrize(("fault", "words"), OUTAGES, ids=range(len(OUTAGES)))
def test_an_outage_leaves_time_for_the_next(
    langfuse: FakeLangfuse, caplog: pytest.LogCaptureFixture, fault: Callable[[FakeLangfuse], object], words: str
) -> None:
    langfuse.publish("p", "from langfuse")
    fault(langfuse)
    resolver = Resolver(Chain(["langfuse", MemoryBackend({"p": "from memory"})]), timeout=1.0)
    with caplog.at_level(logging.WARNING, "promptwire"):
        prompt, source = resolver.find("p")
    assert (prompt.text, source) == ("from memory", "fresh")
    assert words in prompt.passed_over[0]
    assert f"the next backend of the chain is asked: {prompt.passed_over[0]}" in caplog.text


def test_a_passing_fault_is_tried_again_before_the_next(langfuse: FakeLangfuse) -> None:
    langfuse.publish("p", "from langfuse")
    langfuse.fail(503, times=1)
    prompt = Resolver(Chain(["langfuse", MemoryBackend({"p": "from memory"})])).get_prompt("p")
    assert (prompt.text, langfuse.count) == ("from langfuse", 2)


def test_one_that_cant_be_reached_is_left_out_for_ten_seconds(
    langfuse: FakeLangfuse, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Later:
        ahead = 0.0

        def monotonic(self) -> float:
            return time.monotonic() + self.ahead

    clock = Later()
    monkeypatch.setattr("promptwire.backends.chain.time", clock)
    for name in "abcd":
        langfuse.publish(name, "from langfuse")
    resolver = Resolver(Chain(["langfuse", MemoryBackend(dict.fromkeys("abcd", "from memory"))]))
    langfuse.stop()
    assert "could not connect" in resolver.get_prompt("a").passed_over[0]
    langfuse.start()
    asked = langfuse.count
    clock.ahead = 9.0
    skipped = resolver.get_prompt("b")
    assert (skipped.text, langfuse.count) == ("from memory", asked)
    assert skipped.passed_over == (
        "langfuse prompt 'b' (label 'production'): not asked for, since it failed to answer moments ago",
    )
    with pytest.raises(BackendUnavailableError, match="not asked for"):
        resolver.get_prompt("nowhere")
    clock.ahead = 10.1
    assert resolver.get_prompt("c").backend == "langfuse"


def test_an_odd_answer_leaves_nobody_out(langfuse: FakeLangfuse) -> None:
    for name in ("odd", "fine"):
        langfuse.publish(name, "from langfuse")
    langfuse.fail(500, match="/odd")
    resolver = Resolver(Chain(["langfuse", MemoryBackend({"odd": "from memory"})]))
    assert [resolver.get_prompt(name).backend for name in ("odd", "fine")] == ["memory", "langfuse"]


def test_a_failure_of_all_holds_no_other_prompt_back(langfuse: FakeLangfuse) -> None:
    langfuse.stop()
    resolver = Resolver(Chain(["langfuse", MemoryBackend({"there": "from memory"})]))
    with pytest.raises(BackendUnavailableError) as caught:
        resolver.get_prompt("nowhere")
    assert (caught.value.status_code, caught.value.retryable) == (503, False)
    assert resolver.get_prompt("there").text == "from memory"


def test_the_last_may_hang_without_holding_other_prompts_back(humanloop: FakeHumanloop) -> None:
    humanloop.hang()
    resolver = Resolver(Chain([MemoryBackend({"there": "from memory"}), "humanloop"]), timeout=1.5)
    with pytest.raises(BackendUnavailableError, match="humanloop prompt 'nowhere': timed out"):
        resolver.get_prompt("nowhere")
    assert resolver.get_prompt("there").text == "from memory"


def test_even_parts_of_the_time(stub: Any) -> None:
    parts: list[float] = []

    def reply(ref: PromptRef, http: Http) -> Prompt:
        parts.append(http.deadline() - time.monotonic())
        raise PromptNotFoundError("no")

    members = [stub(reply, identity=number) for number in range(4)]
    with pytest.raises(PromptNotFoundError):
        Resolver(Chain(members), timeout=41.0).get_prompt("p")
    assert [round(part) for part in parts] == [10, 13, 20, 37]  # nobody used any: each later one has more


@pytest.mark.parametrize("error", [TemplateError("broken"), PromptConfigError("broken")])
def test_a_broken_prompt_ends_the_search(stub: Any, error: PromptwireError) -> None:
    last = stub()
    with pytest.raises(type(error), match="broken"):
        Resolver(Chain([stub(raising(error)), last])).get_prompt("p")
    assert not last.fetched


@pytest.mark.parametrize(
    "error",
    [
        PromptNotFoundError("no p"), BackendError("no p"), BackendAuthError("no p"), ConfigurationError("no p"),
        BackendUnavailableError("no p"),
    ],
)  # fmt: skip
def test_other_errors_lead_on(stub: Any, error: PromptwireError) -> None:
    prompt = Resolver(Chain([stub(raising(error)), stub()])).get_prompt("p")
    assert (prompt.text, prompt.passed_over) == ("Hello from p", ("no p",))


def test_whatever_a_third_party_raises_or_returns_leads_on(stub: Any) -> None:
    members = [stub(raising(KeyError("secret"))), stub(lambda ref, http: "text"), stub()]
    assert Resolver(Chain(members)).get_prompt("p").passed_over == (
        "stub prompt 'p': the backend raised KeyError",
        "stub prompt 'p': the backend returned str, not a Prompt",
    )


@pytest.mark.parametrize(
    ("errors", "kind", "words"),
    [
        ([PromptNotFoundError("a: none."), PromptNotFoundError("b: none")], PromptNotFoundError, "no backend has it: "),
        (
            [PromptNotFoundError("a: none"), BackendError("b: none")],
            BackendUnavailableError,
            "no backend could serve it: ",
        ),
        ([BackendAuthError("a: none"), ConfigurationError("b: none")], BackendUnavailableError, "could serve it: "),
    ],
)
def test_all_failing(stub: Any, errors: list[PromptwireError], kind: type[PromptwireError], words: str) -> None:
    with pytest.raises(kind, match=rf"chain prompt 'p' \(label 'x'\): .*{words}a: none; b: none$") as caught:
        Resolver(Chain([stub(raising(error)) for error in errors])).get_prompt("p", label="x")
    assert type(caught.value) is kind


def test_a_prompt_that_all_have_lost_is_not_served_from_memory(clock: Any) -> None:
    member = MemoryBackend({"p": "x"})
    member.stamp = None  # type: ignore[assignment,method-assign]
    resolver = Resolver(Chain([member]), cache_ttl=1)
    assert resolver.get_prompt("p").text == "x"
    member._versions.clear()  # noqa: SLF001 - memory has no unpublish
    clock.ahead += 10_000
    with pytest.raises(PromptNotFoundError):
        resolver.get_prompt("p")


def test_each_has_its_own_default_label_and_is_passed_what_is_given(stub: Any) -> None:
    asked: list[PromptRef] = []

    def reply(ref: PromptRef, http: Http) -> Prompt:
        asked.append(ref)
        raise PromptNotFoundError(http.where)

    first, second = stub(reply), stub(reply, identity=2)
    first.default_label = "production"
    chosen: list[Any] = [{}, {"label": "staging"}, {"version": 3}]
    for options in chosen:
        with pytest.raises(PromptNotFoundError):
            Resolver(Chain([first, second])).get_prompt("p", **options)
    assert asked == [
        PromptRef("p", label="production"), PromptRef("p"), PromptRef("p", label="staging"),
        PromptRef("p", label="staging"), PromptRef("p", 3), PromptRef("p", 3),
    ]  # fmt: skip


def test_a_version_that_one_cant_have_is_asked_of_the_next(langfuse: FakeLangfuse, humanloop: FakeHumanloop) -> None:
    version = humanloop.publish("p", "Hi")
    prompt = Resolver(Chain(["langfuse", "humanloop"])).get_prompt("p", version=version)
    assert prompt.backend == "humanloop"
    assert "Langfuse's versions are numbers" in prompt.passed_over[0]
    assert langfuse.count == 0


def test_edits_are_seen_where_every_member_can_tell(write: Write, root: Path) -> None:
    chain = Chain([MemoryBackend({"q": "x"}), FilesBackend(root), HumanloopBackend(root=root)])
    resolver = Resolver(chain)
    write("p.yaml", "text: one")
    assert (resolver.get_prompt("p").text, resolver.find("p")[1]) == ("one", "cached")
    write("p.yaml", "text: two")
    assert resolver.get_prompt("p").text == "two"
    write("p@1.yaml", "text: version one")
    assert resolver.get_prompt("p", version=1).text == "version one"
    with pytest.raises(BackendUnavailableError, match="the versions of files are numbers"):
        resolver.get_prompt("p", version="prv_1")
    assert Chain([MemoryBackend(), LangfuseBackend("pk", "sk")]).stamp is None


def test_only_the_first_is_asked_whether_it_has_changed(
    langfuse: FakeLangfuse, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("promptwire.backends.http.monotonic", clock.monotonic)
    langfuse.publish("p", "Hi")
    behind = Resolver(Chain([MemoryBackend(), "langfuse"]), cache_ttl=1, max_stale=0)
    before = Resolver(Chain(["langfuse", MemoryBackend()]), cache_ttl=1, max_stale=0)
    for resolver, conditional in ((behind, False), (before, True)):
        first = resolver.get_prompt("p")
        clock.ahead += 10
        assert resolver.get_prompt("p").text == "Hi"
        assert ("if-none-match" in langfuse.requests[-1].headers) == conditional
        assert (resolver.get_prompt("p") is first) == conditional


def test_listing_merges_by_id(langfuse: FakeLangfuse, caplog: pytest.LogCaptureFixture) -> None:
    memory = MemoryBackend()
    memory.publish("both", "x", labels=["production", "eu"])
    memory.publish("a", "x")
    langfuse.publish("both", "y", labels=["production"], tags=["t"])
    langfuse.publish("both", "y", labels=["staging"], tags=["t"])
    chain = Chain([memory, "langfuse"])
    both = PromptSummary("both", (1, 2), ("production", "eu", "latest", "staging"), ("t",))
    assert Resolver(chain).list_prompts() == [PromptSummary("a", (1,)), both]
    langfuse.stop()
    with caplog.at_level(logging.WARNING, "promptwire"):
        assert [summary.id for summary in Resolver(chain).list_prompts()] == ["a", "both"]
    assert "langfuse prompts: could not connect" in caplog.text
    with pytest.raises(BackendUnavailableError, match="chain prompts: no backend could serve it: langfuse prompts: "):
        Resolver(Chain(["langfuse"])).list_prompts()


def test_chains_of_chains(stub: Any) -> None:
    inner = Chain([stub(raising(PromptNotFoundError("inner"))), stub(identity=2)])
    prompt = Resolver(Chain([stub(raising(PromptNotFoundError("outer")), identity=3), inner])).get_prompt("p")
    assert prompt.passed_over == ("outer", "inner")


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ([], "a chain needs backends"),
        ("", "a chain needs backends"),
        (None, "a chain needs backends"),
        (["chain"], "a chain can't name itself"),
        ("files,lngfuse", r"did you mean 'langfuse'\?"),
        ([MemoryBackend], "not the class MemoryBackend"),
        ([5], "int is no backend"),
        (["langfuse"], "langfuse needs a key"),
    ],
)
def test_what_is_no_chain(members: Any, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        Chain(members)


def test_copies_pickles_and_identity(root: Path) -> None:
    chain = Chain([FilesBackend(root), HumanloopBackend(root=root)])
    assert copy.deepcopy(chain) is chain
    assert pickle.loads(pickle.dumps(chain)).identity == chain.identity  # noqa: S301 - ours
    assert Chain([HumanloopBackend(root=root), FilesBackend(root)]).identity != chain.identity


def test_many_threads_in_an_outage(langfuse: FakeLangfuse) -> None:
    names = [f"p{number}" for number in range(40)]
    langfuse.stop()
    resolver = Resolver(Chain(["langfuse", MemoryBackend(dict.fromkeys(names, "from memory"))]))
    start = threading.Barrier(8)
    served: list[str | None] = []

    def ask(mine: list[str]) -> None:
        start.wait(10)
        served.extend(resolver.get_prompt(name).text for name in mine)

    threads = [threading.Thread(target=ask, args=(names[number::8],)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert served == ["from memory"] * 40
