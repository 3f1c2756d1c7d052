"""Doubles for tests and demonstrations: fake servers on loopback, made of the standard library alone."""

from promptwire.testing.faults import Gate
from promptwire.testing.humanloop import FakeHumanloop
from promptwire.testing.langfuse import FakeLangfuse
from promptwire.testing.openai import FakeOpenAI
from promptwire.testing.request_log import RequestLog
from promptwire.testing.seeds import Doubles, doubles, embedded, publish_file
from promptwire.testing.server import LoopbackServer
from promptwire.testing.wire import Answer, Received, RefusedError

__all__ = [
    "Answer",
    "Doubles",
    "FakeHumanloop",
    "FakeLangfuse",
    "FakeOpenAI",
    "Gate",
    "LoopbackServer",
    "Received",
    "RefusedError",
    "RequestLog",
    "doubles",
    "embedded",
    "publish_file",
]
