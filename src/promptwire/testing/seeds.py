"""A folder of prompts, as a Langfuse project would hold it, and servers with the environment pointing at them."""

import os
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
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

_standing = ExitStack()  # as process-wide as the environment that it changes


@dataclass(frozen=True, slots=True)
class Doubles(Displayed):
    """The servers that stand in for services; ``None`` where the service itself is used."""

    langfuse: FakeLangfuse | None
    openai: FakeOpenAI | None

    def stop(self) -> None:
        """Stop them, and have the environment as it was before."""
        _standing.close()

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
    with _embedded(langfuse=langfuse, openai=openai) as servers:
        yield servers.langfuse


def doubles(*, langfuse: bool | None = None) -> Doubles:
    """``embedded()`` for a notebook: stand-ins for the services that the environment has no keys of, from here on.

    The keys are ``LANGFUSE_PUBLIC_KEY`` and ``OPENAI_API_KEY``; ``langfuse=True`` is a stand-in whatever the keys say.
    Called again it begins anew, so that a notebook can be run from its top.
    """
    _standing.close()
    wanted = "LANGFUSE_PUBLIC_KEY" not in os.environ if langfuse is None else langfuse
    return _standing.enter_context(_embedded(langfuse=wanted, openai="OPENAI_API_KEY" not in os.environ))


@contextmanager
def _embedded(*, langfuse: bool, openai: bool) -> Generator[Doubles]:
    before = dict(os.environ)
    with ExitStack() as servers, fresh_resolver():
        stored = servers.enter_context(FakeLangfuse()) if langfuse else None
        model = servers.enter_context(FakeOpenAI()) if openai else None
        for server in (stored, model):
            os.environ.update({} if server is None else server.env)
        try:
            yield Doubles(stored, model)
        finally:
            os.environ.clear()
            os.environ.update(before)
