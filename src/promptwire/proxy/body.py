"""What clients may say: a request's body, read within bounds and checked against a list."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.types import Receive, Scope

from promptwire.compose import MODES
from promptwire.errors import ConfigurationError, raise_bare
from promptwire.gateway.parameters import OPENAI_PARAMS
from promptwire.params import nearest
from promptwire.proxy.entries import Entry
from promptwire.proxy.refusals import CLOSE, RefusedError, bad, refusal_of, refuse
from promptwire.refs import PromptRef
from promptwire.rollout import choose_label

MAX_BODY = 25_000_000

_SELECTION = ("prompt_id", "prompt_label", "prompt_version")
_OURS = frozenset({"model", "messages", "stream", "prompt_variables", "message_mode", "rollout_key", *_SELECTION})
# Said by LiteLLM's clients, and never taken from one: where a key goes is the operator's business.
_OPERATORS = ("api_", "base_url", "extra_", "langfuse_", "humanloop_", "azure_", "aws_", "vertex_", "headers", "proxy")


class HungUpError(Exception):
    """The client has left."""


async def read_json(scope: Scope, receive: Receive) -> dict[str, Any]:
    """The body, a JSON object. Raises ``RefusedError``: 400, 413 or 415."""
    _check_type(scope)
    try:
        body = orjson.loads(await read_bytes(scope, receive))
    except orjson.JSONDecodeError as error:
        raise_bare(bad(f"the body is not JSON: {error}", None))
    if not isinstance(body, dict):
        raise bad("the body is a JSON object", None)
    return body


def _check_type(scope: Scope) -> None:
    """JSON and nothing else: a browser's page could send any other type without asking first."""
    kind = b""
    for name, value in scope["headers"]:
        if name == b"content-type":
            kind = value.partition(b";")[0].strip().lower()
        elif name == b"content-encoding" and value.lower() != b"identity":
            raise refuse(415, "a compressed body is not read; send it as it is", "unsupported_media_type")
    if kind != b"application/json":
        raise refuse(415, "the body's content-type must be application/json", "unsupported_media_type")


async def read_bytes(scope: Scope, receive: Receive) -> bytes:
    """The whole body, which the connection gives 30 s to arrive. Raises ``RefusedError`` (413)."""
    announced = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
    if announced.isdigit() and int(announced) > MAX_BODY:
        raise _too_large()
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        return bytes(message["body"])
    data = bytearray()
    while message["type"] == "http.request":
        data += message["body"]
        if len(data) > MAX_BODY:
            raise _too_large()
        if not message.get("more_body"):
            return bytes(data)
        message = await receive()
    raise HungUpError


def _too_large() -> RefusedError:
    return refuse(413, f"the body is larger than {MAX_BODY // 1_000_000} MB", "request_too_large", None, [CLOSE])


@dataclass(frozen=True, slots=True)
class Wanted:
    """A request's body, checked: what it says of the prompt, and what goes to the model."""

    messages: list[Any]
    stream: bool
    named: Mapping[str, Any]
    variables: Mapping[str, Any]
    message_mode: str | None
    params: dict[str, Any]


def model_of(body: Mapping[str, Any]) -> str:
    """The model asked for."""
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise bad("model is a text: the name of an entry of the proxy's list", "model")
    return model


def read_wanted(body: Mapping[str, Any], entry: Entry) -> Wanted:
    """Check every field. Raises ``RefusedError`` that names the first that is wrong."""
    params: dict[str, Any] = {}
    for name, value in body.items():
        if name in OPENAI_PARAMS or name in entry.allowed:
            params[name] = value
        elif name not in _OURS:
            raise _unknown(name, entry)
    stream = body.get("stream")
    if stream is not None and not isinstance(stream, bool):
        raise bad("stream is true or false", "stream")
    messages = body.get("messages")
    if messages is not None and not isinstance(messages, list):
        raise bad("messages is a list", "messages")
    mode = body.get("message_mode")
    if mode is not None and mode not in MODES:
        raise bad(f"message_mode is one of {', '.join(MODES)}", "message_mode")
    return Wanted(messages or [], bool(stream), *read_named(body), mode, params)


def read_named(body: Mapping[str, Any]) -> tuple[dict[str, Any], Mapping[str, Any]]:
    """The prompt that a body names, with its user's key for weighted labels, and its variables."""
    variables = body.get("prompt_variables")
    if variables is not None and not isinstance(variables, dict):
        raise bad("prompt_variables is an object of names and values", "prompt_variables")
    named = {name: body[name] for name in (*_SELECTION, "rollout_key") if body.get(name) is not None}
    if named:
        check_named(named)
    return named, variables or {}


def check_named(named: Mapping[str, Any]) -> None:
    """Refuse what can't name a prompt, whether or not an entry completes it."""
    prompt_id = named.get("prompt_id", "x")
    for name, value in named.items():
        try:
            if name == "rollout_key":
                choose_label(prompt_id, None, value)
            elif name == "prompt_label":
                PromptRef(prompt_id, label=choose_label(prompt_id, value))
            else:
                PromptRef(**{"id": prompt_id, name.removeprefix("prompt_"): value})
        except ConfigurationError as error:
            raise refusal_of(error, name) from error
    if "prompt_version" in named and "prompt_label" in named:
        raise bad("give prompt_version or prompt_label, not both", "prompt_version")


def _unknown(name: str, entry: Entry) -> RefusedError:
    if name.startswith(_OPERATORS):
        return bad(f"{name[:100]} is set in the proxy's configuration, never by a request", name[:100])
    hint = nearest(name[:100], (*_OURS, *OPENAI_PARAMS, *entry.allowed))
    allow = "allowed_openai_params of the model's entry lets it through"
    return bad(f"there is no parameter {name[:100]!r}{hint}; {allow}", name[:100], "unknown_parameter")
