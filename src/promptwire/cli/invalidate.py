"""``promptwire invalidate``."""

import click

from promptwire.cli.options import Reference, Session, complete_prompts, session
from promptwire.cli.output import say, say_json
from promptwire.errors import BackendUnavailableError, ConfigurationError
from promptwire.stores import Scope, SharedStore, open_store


@click.command("invalidate")
@click.argument("prompt", required=False, metavar="[ID]", shell_complete=complete_prompts)
@session
def command(session: Session, prompt: str | None) -> None:
    """Have every process that shares the store fetch a prompt anew, or all.

    The store is what PROMPTWIRE_STORE names (redis://...). Prompts that were cached go on answering if their backend
    fails. The backend's keys must be those of the processes that are meant.
    """
    reference = Reference.read(prompt) if prompt else None
    if reference and (reference.ref.version, reference.ref.label) != (None, None):
        raise click.UsageError("all versions and labels of an ID are invalidated: leave them out")
    store = open_store(None)
    if not isinstance(store, SharedStore):
        raise ConfigurationError(
            "nothing is shared here: set PROMPTWIRE_STORE=redis://HOST:PORT as the processes have it"
        )
    backend = session.resolver.open_backend(session.backend_of(reference) if reference else session.backend_name)
    store.announce(Scope.of(backend.name, backend.identity, reference.ref.id if reference else None))
    listening = store.flush()
    if listening is None:
        raise BackendUnavailableError(
            f"{store!r} can't be reached, or refuses to be written to, so what it holds still counts as fresh: "
            "check that it is up, not full and no read-only replica"
        )
    if session.as_json:
        say_json({"backend": backend.name, "listening": listening})
    else:
        say(f"{backend.name}: told {listening} process{'' if listening == 1 else 'es'}")
