"""``/v1/prompts``: a prompt as its backend holds it, and rendered; read only."""

from collections.abc import Mapping
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from promptwire.calls import PromptCall
from promptwire.errors import PromptConfigError, raise_bare
from promptwire.frozen import thaw
from promptwire.gateway.answers import describe
from promptwire.messages import Placeholder, close_slots
from promptwire.params import merge_variables
from promptwire.prompts import Prompt
from promptwire.proxy.body import check_named, read_json, read_named
from promptwire.proxy.chat import find, prompt_headers
from promptwire.proxy.entries import Entry
from promptwire.proxy.refusals import refuse
from promptwire.proxy.service import Service
from promptwire.rendered import RenderedPrompt
from promptwire.search import Found


class Catalog:
    """The two endpoints. ``model`` picks the entry whose backend is asked; by default the first that has one."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def show(self, request: Request) -> Response:
        """``GET``: the prompt, its templates unfilled; ``label`` and ``version`` are in the query."""
        query = request.query_params
        named = {f"prompt_{name}": query[name] for name in ("label", "version") if query.get(name)}
        (prompt, source), _, label = await self._find(request.path_params["prompt_id"], named, query.get("model"))
        return _answer(RenderedPrompt(prompt, [], source), label, shown(prompt))

    async def render(self, request: Request) -> Response:
        """``POST``: the messages that ``prompt_variables`` make of it, and what it sets for the model call."""
        body = await read_json(request.scope, request.receive)
        named, variables = read_named(body)
        for name in body:
            if name not in {"model", "prompt_label", "prompt_version", "prompt_variables", "rollout_key"}:
                raise refuse(400, f"there is no parameter {name[:100]!r}", "unknown_parameter", name[:100])
        (prompt, source), entry, label = await self._find(request.path_params["prompt_id"], named, body.get("model"))
        missing = (entry.rendering.get("missing") if entry else None) or self._service.resolver.missing
        fixed = entry.prompt.get("prompt_variables") if entry else None
        role = (entry.rendering.get("text_role") if entry else None) or "user"
        rendered = prompt.render(merge_variables(fixed, variables), missing=missing, text_role=role, source=source)
        messages = close_slots(rendered.items, prompt.where, keep=missing == "keep")
        settings = {"messages": messages, "model": rendered.model, "params": rendered.params}
        return _answer(rendered, label, {"object": "prompt.rendered", "id": prompt.id, **settings})

    async def _find(
        self, prompt_id: str, named: Mapping[str, Any], model: object
    ) -> tuple[Found, Entry | None, str | None]:
        check_named({"prompt_id": prompt_id, **named})
        entry = self._entry(model)
        call = PromptCall(
            prompt_id=prompt_id,
            backend=entry.backend if entry else None,
            label=named.get("prompt_label"),
            version=named.get("prompt_version"),
            rollout_key=named.get("rollout_key"),
        )
        return await find(self._service.resolver, call), entry, call.label

    def _entry(self, model: object) -> Entry | None:
        table = self._service.config.table
        if model is None:
            return table.prompts_of(None)
        entry = table.prompts_of(model) if isinstance(model, str) else None
        if entry is None:
            raise refuse(404, f"there is no model {str(model)[:100]!r} in the proxy's list", "model_not_found", "model")
        return entry


def shown(prompt: Prompt) -> dict[str, Any]:
    """A prompt in JSON. What of its config is never sent to a model isn't shown either: it may hold keys."""
    messages = prompt.messages and [
        {"placeholder": item.name} if isinstance(item, Placeholder) else thaw(item) for item in prompt.messages
    ]
    return {
        "object": "prompt",
        "id": prompt.id,
        "backend": prompt.backend,
        "version": prompt.version,
        "labels": prompt.labels,
        "tags": prompt.tags,
        "text": prompt.text,
        "messages": messages,
        "variables": prompt.variables,
        "placeholders": prompt.placeholders,
        "model": prompt.model,
        "provider": prompt.provider,
        "params": prompt.settings(),
        "content_hash": prompt.content_hash,
    }


def _answer(rendered: RenderedPrompt, label: str | None, body: Mapping[str, Any]) -> Response:
    info = describe(rendered, label)
    try:
        answer = Response(orjson.dumps(body), media_type="application/json")
    except TypeError:
        what = "half a character (a lone surrogate), or a number of more than 64 bits"
        raise_bare(PromptConfigError(f"{rendered.prompt.where}: it holds what JSON can't: {what}"))
    answer.raw_headers.extend(prompt_headers(info))
    return answer
