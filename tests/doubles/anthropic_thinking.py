"""The API's rules of thinking and sampling, which differ by model."""

from collections.abc import Collection, Iterator, Mapping

from promptwire.testing.wire import Json
from tests.doubles.anthropic_model import sign
from tests.doubles.anthropic_turns import blocks_of, joined

_BUDGET_ONLY = (
    "claude-3", "claude-opus-4-0", "claude-opus-4-1", "claude-opus-4-2", "claude-opus-4-5", "claude-sonnet-4-0",
    "claude-sonnet-4-2", "claude-sonnet-4-5", "claude-haiku-4-5",
)  # fmt: skip
_EITHER = ("claude-opus-4-6", "claude-sonnet-4-6")


def check_sampling(body: Mapping[str, Json]) -> Iterator[str]:
    """The newer models sample as they will."""
    for key, highest in (("temperature", 1), ("top_p", 1)):
        if key in body and not 0 <= body[key] <= highest:
            yield f"{key}: range: 0..1"
        if key in body and not body["model"].startswith((*_BUDGET_ONLY, *_EITHER)):
            yield f"`{key}` is deprecated for this model."


def check_thinking(body: Mapping[str, Json], signatures: Collection[str]) -> Iterator[str]:
    """What can't be together with thinking, and which kind of it the model knows."""
    yield from _signatures(body, signatures)
    thinking = body.get("thinking", {"type": "disabled"})
    kind, model = thinking["type"], body["model"]
    if "effort" in body.get("output_config", {}) and model.startswith(_BUDGET_ONLY):
        yield "This model does not support the effort parameter."
    if kind == "adaptive" and model.startswith(_BUDGET_ONLY):
        yield "adaptive thinking is not supported on this model"
    if kind == "enabled":
        if not model.startswith((*_BUDGET_ONLY, *_EITHER)):
            yield '"thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive".'
        yield from _budget(body, thinking["budget_tokens"])
    if kind in {"enabled", "adaptive"} and (body.get("temperature", 1) != 1 or "top_k" in body):
        yield "`temperature` may only be set to 1 when thinking is enabled or in adaptive mode."
    if kind in {"enabled", "adaptive"} and body.get("top_p", 1) < 0.95:
        yield "`top_p` must be greater than or equal to 0.95 or unset when thinking is enabled."


def _budget(body: Mapping[str, Json], budget: int) -> Iterator[str]:
    if budget < 1024:
        yield "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024"
    if budget >= body["max_tokens"]:
        yield "`max_tokens` must be greater than `thinking.budget_tokens`."
    if body.get("tool_choice", {}).get("type") in {"any", "tool"}:
        yield "Thinking may not be enabled when tool_choice forces tool use."
    messages = joined(body["messages"])
    amid = any(block["type"] == "tool_result" for block in blocks_of(messages[-1]))
    if amid and blocks_of(messages[-2])[0]["type"] not in {"thinking", "redacted_thinking"}:
        yield (
            f"messages.{len(messages) - 2}.content.0.type: Expected `thinking` or `redacted_thinking`, but found "
            f"`{blocks_of(messages[-2])[0]['type']}`. When `thinking` is enabled, a final `assistant` message must "
            "start with a thinking block (preceeding the lastmost set of `tool_use` and `tool_result` blocks)."
        )


def _signatures(body: Mapping[str, Json], known: Collection[str]) -> Iterator[str]:
    for at, message in enumerate(body["messages"]):
        for number, block in enumerate(blocks_of(message)):
            if block["type"] == "thinking" and block["signature"] not in {sign(block["thinking"]), *known}:
                yield f"messages.{at}.content.{number}: Invalid `signature` in `thinking` block"
