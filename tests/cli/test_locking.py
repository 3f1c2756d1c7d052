"""``promptwire lock`` and ``promptwire stubs``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from promptwire import Resolver
from promptwire.testing import FakeLangfuse

if TYPE_CHECKING:
    from tests.cli.conftest import Run


def test_all_that_the_backend_serves_is_locked_and_checks(run: Run, project: FakeLangfuse, folder: Path) -> None:
    done = run("lock", "--backend", "langfuse")
    assert (done.exit_code, done.stdout) == (0, "support/reply\tlangfuse\tproduction\t2\n")
    assert run("lock", "--check").exit_code == 0
    assert Resolver("langfuse", store=folder / "prompts.lock", frozen=True).find("support/reply")[1] == "store"


def test_a_moved_label_fails_the_check_with_a_diff_until_it_is_locked_anew(run: Run, project: FakeLangfuse) -> None:
    run("lock", "langfuse:support/*", "langfuse:persona@staging", "--file", "my.lock")
    before = Path("my.lock").read_text("utf-8")
    project.publish("support/reply", [{"role": "user", "content": "Answer {{customer}}."}])
    done = run("lock", "--check", "--file", "my.lock", code=1)
    assert "langfuse:support/reply@production: version 2 → 3; variables +customer, -company" in done.stdout
    assert "+Answer {{customer}}.\n" in done.stdout
    (finding,) = json.loads(run("lock", "--check", "--json", "--file", "my.lock", code=1).stdout)
    assert finding["kinds"] == ["moved", "variables", "text", "config"]
    assert Path("my.lock").read_text("utf-8") == before
    assert run("lock", "--file", "my.lock").exit_code == 0
    assert run("lock", "--check", "--file", "my.lock").exit_code == 0
    assert [row.split("\t")[0] for row in run("lock", "--file", "my.lock").stdout.splitlines()] == [
        "persona", "support/reply"
    ]  # fmt: skip


def test_a_label_locks_the_prompts_that_bear_it(run: Run, project: FakeLangfuse) -> None:
    assert run("lock", "-b", "langfuse", "--label", "staging").stdout == "persona\tlangfuse\tstaging\t1\n"


def test_an_outage_is_no_finding_and_no_success(run: Run, project: FakeLangfuse) -> None:
    run("lock", "-b", "langfuse")
    project.stop()
    run("lock", "--check", code=5)
    run("lock", code=5)


@pytest.mark.parametrize("broken", [b"<<<<<<< HEAD", b"\xff"], ids=["a merge conflict", "no text"])
def test_a_lock_that_is_broken_is_made_anew_as_its_error_says(broken: bytes, run: Run, project: FakeLangfuse) -> None:
    for words in (["--backend", "langfuse"], ["langfuse:support/reply"]):
        Path("prompts.lock").write_bytes(broken)
        assert "promptwire lock --backend NAME, or promptwire lock PROMPT..." in run("lock", code=2).stderr
        run("lock", *words)
        run("lock", "--check")


def test_a_prompt_that_is_gone_leaves_the_lock_as_the_error_says(run: Run, project: FakeLangfuse) -> None:
    run("lock", "langfuse:support/reply", "langfuse:persona@staging")
    before = Path("prompts.lock").read_bytes()
    project.unpublish("persona")
    assert "name them, or give --backend for all that it serves" in run("lock", code=3).stderr
    assert Path("prompts.lock").read_bytes() == before
    for words in (["langfuse:support/reply"], ["-b", "langfuse"]):
        assert run("lock", *words).stdout == "support/reply\tlangfuse\tproduction\t2\n"
    assert "name them" not in run("lock", "langfuse:persona", code=3).stderr


def test_a_check_of_a_part_or_of_no_lock_is_a_usage_error(run: Run) -> None:
    run("lock", "--check", "x", code=2)
    run("lock", "--check", code=2)
    run("stubs", code=2)


def test_stubs_are_a_module_of_types(run: Run, project: FakeLangfuse) -> None:
    run("lock", "-b", "langfuse")
    names: dict[str, object] = {}
    exec(run("stubs").stdout, names)  # noqa: S102 - what the test is about
    assert names["CONTRACTS"] == {"support/reply": names["SupportReply"]}


def test_a_reference_alone_asks_for_no_list(run: Run, project: FakeLangfuse) -> None:
    assert run("lock", "langfuse:support/reply@1").stdout == "support/reply\tlangfuse\t\t1\n"
    assert not [request for request in project.requests if "limit=" in request.path]
