"""What two threads or processes do at the same moment: no invalidation is lost, and no child hangs. On a real Redis."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from promptwire import PromptRef, Resolver
from promptwire.stores import Scope, StoreKey

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Stub
    from tests.doubles.redis_server import RedisServer

    Until = Callable[..., None]


@pytest.mark.skipif(sys.platform == "win32", reason="no fork here")
def test_a_child_that_is_forked_while_a_thread_makes_digests_makes_its_own() -> None:
    import multiprocessing

    inside, go_on = threading.Event(), threading.Event()

    class Slow:
        """An identity that is being looked at while the process forks."""

        def __repr__(self) -> str:
            inside.set()
            go_on.wait(20)
            return "slow"

    def digests(identity: Any) -> None:
        StoreKey("langfuse", identity, PromptRef("a")).scopes  # noqa: B018 - whenever they are made

    thread = threading.Thread(target=digests, args=(Slow(),))
    thread.start()
    assert inside.wait(20)
    child = multiprocessing.get_context("fork").Process(target=digests, args=("x",))
    child.start()
    child.join(5)
    hangs = child.is_alive()
    child.kill()
    child.join()
    go_on.set()
    thread.join()
    assert not hangs
