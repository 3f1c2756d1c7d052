"""``promptwire run``."""

import json
import time
from collections.abc import Iterator
from typing import Any

import click

from promptwire.backends import known_backends
from promptwire.cli.exits import OK
from promptwire.cli.options import Reference, Session, reference, session, variables
from promptwire.cli.output import complain, say, say_json
from promptwire.cli.variables import parse
from promptwire.gateway.answers import Answer, PromptInfo


@click.command("run")
@reference
@variables
@click.option("--model", metavar="MODEL", help="[provider/]model, for a prompt that names none.")
@click.option("--message", metavar="TEXT", help="The user's message, for a prompt that doesn't ask itself.")
@click.option("--param", multiple=True, metavar="NAME=VALUE", help="A model parameter, as JSON or text.")
@click.option("--stream", is_flag=True, help="Print the text as it arrives.")
@click.option("--dry-run", is_flag=True, help="Print the request, keys masked, and send nothing.")
@click.option("--metrics", is_flag=True, help="Tell times and tokens as one line of JSON on stderr.")
@session
def command(
    *,
    session: Session,
    prompt: Reference,
    variables: dict[str, Any],
    model: str | None,
    message: str | None,
    param: tuple[str, ...],
    stream: bool,
    dry_run: bool,
    metrics: bool,
) -> int:
    """Run a prompt on its model and print the answer."""
    asked: dict[str, Any] = {
        **_params(param),
        "model": _model(session, prompt, model),
        "prompt_id": prompt.ref.id,
        "prompt_label": prompt.ref.label,
        "prompt_version": prompt.ref.version,
        "prompt_variables": variables,
        "messages": None if message is None else [{"role": "user", "content": message}],
        "resolver": session.resolver,
    }
    if dry_run:
        _show_request(asked, stream=stream, as_json=session.as_json)
        return OK
    run = _Run()
    run.stream(asked) if stream else run.whole(asked, as_json=session.as_json)
    if metrics:
        click.echo(json.dumps(run.metrics(), ensure_ascii=False), err=True)
    return OK


def _model(session: Session, prompt: Reference, model: str | None) -> str:
    """``backend/[provider/]model``, as ``completion()`` takes it; a backend may be the model's own first part, too."""
    first = (model or "").partition("/")[0]
    if first in known_backends():
        if (prompt.backend or session.backend or first) != first:
            raise click.UsageError(f"--model {model} names another backend than the prompt's")
        return str(model)
    return f"{session.backend_of(prompt)}/{model or ''}".rstrip("/")


def _show_request(asked: dict[str, Any], *, stream: bool, as_json: bool) -> None:
    from promptwire.gateway.preview import preview
    from promptwire.log import as_curl, safe_headers
    from promptwire.masking import masked

    request = preview(stream=stream, **asked)
    if as_json:
        body = json.loads(request.body or b"null")
        say_json({"method": request.method, "url": request.url, "headers": safe_headers(request), "body": masked(body)})
    else:
        say(as_curl(request))


def _params(pairs: tuple[str, ...]) -> dict[str, Any]:
    """Model parameters; completion()'s own arguments are none of them."""
    from promptwire.gateway.parameters import OPENAI_PARAMS
    from promptwire.params import nearest

    params: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise click.UsageError("--param takes NAME=VALUE, as in temperature=0")
        if name not in OPENAI_PARAMS:
            raise click.UsageError(f"--param {name}: not a parameter of a model{nearest(name, sorted(OPENAI_PARAMS))}")
        params[name] = parse(value, f"--param {name}")
    return params


class _Run:
    """One call of a model, and what is told of it."""

    def __init__(self) -> None:
        self._begun = time.perf_counter()
        self._first: float | None = None
        self._answer: dict[str, Any] = {}
        self._info: PromptInfo | None = None

    def whole(self, asked: dict[str, Any], *, as_json: bool) -> None:
        from promptwire.gateway.completion import completion

        answer = completion(stream=False, **asked)
        self._note(answer, answer.prompt)
        if as_json:
            say_json(answer.model_dump())
            return
        message = answer.choices[0].message
        if message.content is not None:
            say(message.content)
        if calls := message.tool_calls:
            names = ", ".join(str(call.get("function", {}).get("name")) for call in calls)
            complain(f"the model asks for tools: {names}; --json shows the calls")

    def stream(self, asked: dict[str, Any]) -> None:
        from promptwire.gateway.completion import completion

        with completion(stream=True, **asked) as chunks:
            for text in self._texts(chunks):
                say(text, end="")
            say()
            self._info = chunks.prompt

    def _texts(self, chunks: Iterator[Answer]) -> Iterator[str]:
        for chunk in chunks:
            if self._first is None:
                self._first = time.perf_counter()
            self._note(chunk, None)
            for choice in chunk.get("choices") or ():
                if text := (choice.get("delta") or {}).get("content"):
                    yield text

    def _note(self, answer: Answer, info: PromptInfo | None) -> None:
        """Keep what metrics tell; a stream's usage comes in its last chunk."""
        reasons = [choice.get("finish_reason") for choice in answer.get("choices") or () if choice.get("finish_reason")]
        told = {"model": answer.get("model"), "usage": answer.get("usage"), "finish": next(iter(reasons), None)}
        self._answer |= {name: value for name, value in told.items() if value}
        self._info = info

    def metrics(self) -> dict[str, Any]:
        """Times in milliseconds; ``None`` for what the provider doesn't tell."""
        now, info, usage = time.perf_counter(), self._info, self._answer.get("usage") or {}
        first = None if self._first is None else round(1000 * (self._first - self._begun), 1)
        return {
            "prompt_id": info and info.prompt_id,
            "prompt_version": info and info.prompt_version,
            "prompt_backend": info and info.prompt_backend,
            "prompt_source": info and info.prompt_source,
            "model": self._answer.get("model"),
            "finish_reason": self._answer.get("finish"),
            "prompt_tokens": usage.get("prompt_tokens"),
            "completion_tokens": usage.get("completion_tokens"),
            "first_token_ms": first,
            "total_ms": round(1000 * (now - self._begun), 1),
        }
