"""Variables given once for all calls made inside."""

import asyncio
import threading

import pytest

from promptwire import variables
from promptwire.ambient import ambient_variables


def test_nested_scopes_add_up_and_end() -> None:
    assert ambient_variables() is None
    with variables(name="Ada", tone="dry"):
        with variables(name="Bo", place="here"):
            assert ambient_variables() == {"name": "Bo", "tone": "dry", "place": "here"}
        assert ambient_variables() == {"name": "Ada", "tone": "dry"}
    assert ambient_variables() is None


def test_a_scope_ends_with_its_exception() -> None:
    with pytest.raises(KeyError), variables(name="Ada"):
        raise KeyError
    assert ambient_variables() is None


async def test_tasks_and_threads_of_the_loop_inherit_it_and_keep_their_own() -> None:
    async def inner(name: str) -> object:
        with variables(name=name):
            await asyncio.sleep(0)
            return ambient_variables()

    with variables(tone="dry"):
        found = await asyncio.gather(*(inner(name) for name in "abc"))
        assert await asyncio.to_thread(ambient_variables) == {"tone": "dry"}
    assert found == [{"tone": "dry", "name": name} for name in "abc"]


def test_a_bare_thread_does_not_inherit_it() -> None:
    seen: list[object] = []
    with variables(name="Ada"):
        thread = threading.Thread(target=lambda: seen.append(ambient_variables()))
        thread.start()
        thread.join(10)
    assert seen == [None]
