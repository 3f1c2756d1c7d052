"""A folder of prompts, as a Langfuse project would hold it, and servers with the environment pointing at them."""

import os
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from promptwire.backends.files import FilesBackend
from promptwire.default import fresh_resolver
from promptwire.display import Displayed
from promptwire.frozen import thaw
from promptwire.messages import stored_messages
from promptwire.resolver import Resolver
from promptwire.testing.langfuse import FakeLangfuse
from promptwire.testing.openai import FakeOpenAI

if TYPE_CHECKING:
    from promptwire.display.view import View

_standing = ExitStack()  # what the next doubles() ends: as process-wide as the environment that they change


@dataclass(frozen=True, slots=True)
class Doubles(Displayed):
    """The servers that stand in for services; ``None`` where the service itself is used."""

    langfuse: FakeLangfuse | None
    openai: FakeOpenAI | None
    _running: ExitStack = field(repr=False, compare=False)

    def stop(self) -> None:
        """Stop them, and have what they set in the environment as it was before, but for what was set anew since."""
        self._running.close()

    def _view(self) -> "View":
        from promptwire.display.view import View

        said = {True: "a double on this machine", False: "yours, by the keys in the environment"}
        facts = [("Langfuse", said[self.langfuse is not None]), ("OpenAI", said[self.openai is not None])]
        return View("Who answers", facts=facts)


def publish_file(
    server: FakeLangfuse, folder: str | os.PathLike[str], prompt_id: str, version: int | None = None
) -> int:
    """Publish one prompt of a folder under the label ``production``, and answer its version there."""
    prompt = Resolver(FilesBackend(Path(folder))).get_prompt(prompt_id, version=version)
    if prompt.text is not None:
        return server.publish(prompt_id, prompt.text, config=thaw(prompt.config), tags=prompt.tags)
    messages = stored_messages(prompt.messages or ())
    return server.publish(prompt_id, messages, config=thaw(prompt.config), tags=prompt.tags)


@contextmanager
def embedded(*, langfuse: bool = True, openai: bool = True) -> Generator[FakeLangfuse | None]:
    """Fake servers for what is asked for, with the process's environment pointing at them inside."""
    servers = _start(langfuse=langfuse, openai=openai)
    try:
        yield servers.langfuse
    finally:
        servers.stop()


def doubles(*, langfuse: bool | None = None) -> Doubles:
    """``embedded()`` for a notebook: stand-ins for the services that the environment has no keys of, from here on.

    The keys are ``LANGFUSE_PUBLIC_KEY`` and ``OPENAI_API_KEY``; ``langfuse=True`` is a stand-in whatever the keys say.
    Called again it begins anew, so that a notebook can be run from its top.
    """
    _standing.close()
    wanted = "LANGFUSE_PUBLIC_KEY" not in os.environ if langfuse is None else langfuse
    servers = _start(langfuse=wanted, openai="OPENAI_API_KEY" not in os.environ)
    _standing.callback(servers.stop)
    return servers


def _start(*, langfuse: bool, openai: bool) -> Doubles:
    with ExitStack() as running:
        running.enter_context(fresh_resolver())
        stored = running.enter_context(FakeLangfuse()) if langfuse else None
        model = running.enter_context(FakeOpenAI()) if openai else None
        for server in (stored, model):
            running.enter_context(_environment({} if server is None else server.env))
        return Doubles(stored, model, running.pop_all())


@contextmanager
def _environment(values: Mapping[str, str]) -> Generator[None]:
    """These values inside; after it those before, but for names that the program has set meanwhile."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name in [name for name, value in values.items() if os.environ.get(name) == value]:
            del os.environ[name]
            os.environ.update({} if (value := before[name]) is None else {name: value})
