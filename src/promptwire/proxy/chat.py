"""``/chat/completions``: a managed prompt, or none, on the model of an entry."""

import time
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from starlette.types import Receive, Scope, Send

from promptwire.calls import PromptCall, refuse_without_id
from promptwire.errors import ConfigurationError, PromptConfigError, PromptwireError
from promptwire.gateway.answers import PromptInfo
from promptwire.gateway.ask import Ask, Plan, read_turns
from promptwire.gateway.driver import TIMEOUT
from promptwire.gateway.providers import Target, choose_model
from promptwire.proxy.body import HungUpError, Wanted, model_of, read_json, read_wanted
from promptwire.proxy.entries import Entry
from promptwire.proxy.refusals import Headers, RefusedError, bad, broken, misconfigured, refusal_of, refuse
from promptwire.proxy.relay import Reply, relay, relay_stream
from promptwire.proxy.service import Service
from promptwire.resolver import Resolver
from promptwire.search import Found
from promptwire.telemetry.operations import begin


async def find(resolver: Resolver, call: PromptCall) -> Found:
    """The prompt; what its backend takes for no name of one is the client's to change."""
    try:
        return await resolver.afind(call.prompt_id, **call.options())
    except ConfigurationError as error:
        raise refusal_of(error, "prompt_version" if isinstance(call.version, str) else "prompt_id") from error


MAX_TARGETS = 1000
PROMPT_HEADERS = (b"x-prompt-id", b"x-prompt-version", b"x-prompt-label", b"x-prompt-backend", b"x-prompt-source")


class Chat:
    """The endpoint, as plain ASGI."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        started = time.perf_counter()
        reply = Reply(send)
        model, seconds = "", TIMEOUT
        try:
            body = await read_json(scope, receive)
            entry = self._entry(body)
            model = entry.name
            seconds = entry.controls.get("timeout", TIMEOUT)
            await self._service.watcher.until_hang_up(receive, self._answer(entry, body, reply, scope), seconds)
        except HungUpError:
            pass
        except TimeoutError:
            await reply.refuse(refuse(504, f"the answer took longer than {seconds:g} s", "upstream_timeout"))
        except RefusedError as refusal:
            await reply.refuse(refusal)
        except PromptwireError as error:
            await reply.refuse(refusal_of(error))
        except Exception:  # nobody above it answers in OpenAI's shape
            await reply.refuse(broken())
            raise
        finally:
            self._service.metrics.count("chat", model, reply.status or 499, time.perf_counter() - started)

    def _entry(self, body: dict[str, Any]) -> Entry:
        table = self._service.config.table
        if table.only is not None:
            return table.only
        name = model_of(body)
        entry = table.find(name)
        if entry is None:
            raise refuse(404, f"there is no model {name[:100]!r} in the proxy's list", "model_not_found", "model")
        return entry

    async def _answer(self, entry: Entry, body: dict[str, Any], reply: Reply, scope: Scope) -> None:
        service = self._service
        wanted = read_wanted(body, entry)
        ask = _ask(entry, wanted, service)
        call = ask.call
        found = None if call is None else await find(service.resolver, call)
        plan = self._plan(entry, ask, found)
        if plan.info is not None:
            reply.headers = prompt_headers(plan.info)
            service.metrics.count_prompt(plan.info.prompt_source)
        await _relay(plan, reply, service, wanted, scope)

    def _plan(self, entry: Entry, ask: Ask, found: Found | None) -> Plan:
        """Put the call together; a model that the prompt names is looked up in the list first."""
        runs, target = entry, entry.target
        if found is not None and found[0].model is not None and not ask.controls.get("ignore_prompt_model"):
            listed = self._service.config.table.for_prompt(found[0])
            runs, target = (entry, None) if listed is None else (_allowed(listed, entry), listed.target)
        if target is None:
            target = _target(entry, ask, found)
            runs = entry.abroad(target.provider)
        ask.controls = {"max_retries": 0, **runs.controls, **_switches(entry)}
        if ask.stream and ask.params.get("stream_options") is None:
            # A client that didn't ask for usage isn't sent any: many read the first of no choices.
            ask.controls["extra_body"] = {"stream_options": None, **(runs.controls.get("extra_body") or {})}
        ask.defaults = {**runs.params, **entry.params}
        return ask.plan(found, target)


def _ask(entry: Entry, wanted: Wanted, service: Service) -> Ask:
    try:
        call = entry.prompt_call(wanted.named, wanted.variables, wanted.message_mode)
        if call is None:
            backend = entry.caller.backend
            refuse_without_id(backend, {**wanted.named, "prompt_variables": wanted.variables})
    except ConfigurationError as error:
        raise refusal_of(error, "prompt_id") from error
    try:
        turns = read_turns(wanted.messages)
    except ConfigurationError as error:
        raise refusal_of(error, "messages") from error
    if call is None and not turns:
        raise bad("messages is a list of at least one message, unless a prompt_id is given", "messages")
    return Ask(service.resolver, entry.caller, turns, call, wanted.params, dict(entry.controls), wanted.stream)


async def _relay(plan: Plan, reply: Reply, service: Service, wanted: Wanted, scope: Scope) -> None:
    seen = begin(plan, scope["headers"])
    if not wanted.stream:
        await relay(plan.call, reply, service.upstream.open, seen)
        return
    options = wanted.params.get("stream_options")
    usage = isinstance(options, dict) and bool(options.get("include_usage"))
    await relay_stream(plan.call, reply, service.upstream.open, seen, usage=usage)


def _target(entry: Entry, ask: Ask, found: Found | None) -> Target:
    """The model by the rules of every other front door; what is lacking is the operator's to add."""
    named = (found[0].provider, found[0].model) if found else (None, None)
    target = entry.targets.get(named)
    if target is not None:
        return target
    try:
        target = ask.target(found)
    except ConfigurationError as error:
        raise misconfigured(error) from error
    if len(entry.targets) < MAX_TARGETS:
        entry.targets[named] = target
    return target


def _allowed(listed: Entry, entry: Entry) -> Entry:
    """The entry that a prompt names, if the one that clients asked for lets it."""
    try:
        choose_model(listed.caller, None, allowed_models=entry.controls.get("allowed_models"))
    except ConfigurationError as error:
        raise refusal_of(PromptConfigError(str(error))) from error
    return listed


def _switches(entry: Entry) -> dict[str, Any]:
    return {"ignore_prompt_params": entry.controls.get("ignore_prompt_params")}


def prompt_headers(info: PromptInfo) -> Headers:
    """Which prompt answers, each part percent-encoded: an id may hold any character."""
    return _headers(info.prompt_id, info.prompt_version, info.prompt_label, info.prompt_backend, info.prompt_source)


@lru_cache(maxsize=1000)
def _headers(*values: object) -> Headers:
    return [
        (name, quote(str(value), safe="/").encode())
        for name, value in zip(PROMPT_HEADERS, values, strict=True)
        if value is not None
    ]
