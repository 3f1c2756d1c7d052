"""A folder of prompts, as a Langfuse project would hold it, and the environment that points there."""

import os
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from promptwire.backends.files import FilesBackend
from promptwire.default import fresh_resolver
from promptwire.frozen import thaw
from promptwire.messages import stored_messages
from promptwire.resolver import Resolver
from promptwire.testing.langfuse import FakeLangfuse
from promptwire.testing.openai import FakeOpenAI


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
    before = dict(os.environ)
    with ExitStack() as servers, fresh_resolver():
        server = servers.enter_context(FakeLangfuse()) if langfuse else None
        if server is not None:
            os.environ.update(server.env)
        if openai:
            model = servers.enter_context(FakeOpenAI())
            os.environ.update(OPENAI_API_KEY=model.api_key, OPENAI_BASE_URL=model.url)
        try:
            yield server
        finally:
            os.environ.clear()
            os.environ.update(before)
