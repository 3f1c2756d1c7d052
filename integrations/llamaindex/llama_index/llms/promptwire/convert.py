"""Messages between LlamaIndex's shape and OpenAI's, in which prompts are stored."""

import json
import mimetypes
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self, cast

from llama_index.core.base.llms.types import (
    AudioBlock,
    CachePoint,
    ChatMessage,
    ContentBlock,
    DocumentBlock,
    ImageBlock,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)
from llama_index.core.llms.llm import ToolSelection
from llama_index.core.llms.utils import parse_partial_json
from pydantic import BaseModel, PrivateAttr

from promptwire.compose import Turn
from promptwire.errors import ConfigurationError, TemplateError, raise_bare
from promptwire.gateway.answers import PromptInfo

_TO_LLAMA = {
    **{role.value: role for role in MessageRole},
    "human": MessageRole.USER,
    "ai": MessageRole.ASSISTANT,
    "model": MessageRole.ASSISTANT,
}
_TO_OPENAI = {MessageRole.CHATBOT: "assistant", MessageRole.MODEL: "assistant"}
_BESIDE_CONTENT = ("name", "tool_call_id", "function_call")
_NOT_SENT = (CachePoint, ThinkingBlock, ToolCallBlock)
_TEXTUAL = (TextBlock, *_NOT_SENT)


class PromptMessage(ChatMessage):
    """A prompt's message: blocks for any LLM, and the very dict that it is stored as for the gateway."""

    _from: tuple[dict[str, Any] | None, PromptInfo | None, str] | None = PrivateAttr(default=None)

    @property
    def stored(self) -> dict[str, Any] | None:
        """OpenAI's dict, which blocks can't hold in full (a URL is normalised, a lone text part is a text)."""
        return self._from[0] if self._from else None

    @property
    def origin(self) -> PromptInfo | None:
        """The prompt."""
        return self._from[1] if self._from else None

    def whole(self) -> "PromptMessage":
        """For who reads blocks. Raises ``TemplateError`` for a part that has none."""
        stored, origin, where = self._from or (None, None, "")
        return self if stored is None else from_prompt(stored, where, whole=True, origin=origin)

    @classmethod
    def made(
        cls,
        role: MessageRole,
        blocks: list[ContentBlock],
        extras: dict[str, Any],
        source: tuple[dict[str, Any] | None, PromptInfo | None, str],
    ) -> Self:
        """Of parts that were checked when they were made: as a pickle would, in a third of the time."""
        message = cls.__new__(cls)
        message.__setstate__(
            {
                "__dict__": {**_BLANK.__dict__, "role": role, "blocks": blocks, "additional_kwargs": extras},
                "__pydantic_extra__": None,
                "__pydantic_fields_set__": {"role", "blocks", "additional_kwargs"},
                "__pydantic_private__": {"_from": source},
            }
        )
        return message

    def get_template_vars(self) -> list[str]:
        """No brace in a filled prompt is a variable of LlamaIndex's."""
        return []

    def format_vars(self, **kwargs: Any) -> Self:
        return self.model_copy()


_BLANK = PromptMessage()


def from_prompt(item: object, where: str, *, whole: bool, origin: PromptInfo | None = None) -> PromptMessage:
    """A prompt's dict as a message; ``whole`` refuses what only the gateway could send."""
    stored = cast("dict[str, Any]", item)
    content = stored.get("content")
    parts = content if isinstance(content, list) else [] if content is None else [content]
    try:
        if isinstance(content, str):
            blocks: list[ContentBlock] = [TextBlock(text=content)]
        else:
            blocks = [block for part in parts if (block := _block(part))]
        if whole and len(blocks) < len(parts):
            raise TemplateError(f"{where} has a message with a content part that LlamaIndex has no block for")
        calls = [_called(call) for call in stored.get("tool_calls") or ()]
        role, extras = _TO_LLAMA[stored["role"]], {key: stored[key] for key in _BESIDE_CONTENT if key in stored}
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        problem = type(error).__name__
        raise_bare(
            TemplateError(f"{where} has a message that is none for LlamaIndex ({problem}); look at its role and parts")
        )
    return PromptMessage.made(role, [*blocks, *calls], extras, (stored, origin, where))


def plain(message: ChatMessage) -> ChatMessage:
    """A message that is its blocks: whoever changes them changes what is sent. Raises as ``whole`` does."""
    if not isinstance(message, PromptMessage):
        return message
    one = message.whole()
    if one.origin is None:
        return ChatMessage(role=one.role, blocks=one.blocks, additional_kwargs=one.additional_kwargs)
    return PromptMessage.made(one.role, [*one.blocks], {**one.additional_kwargs}, (None, one.origin, ""))


def to_openai(given: object) -> dict[str, Any]:
    """A message as the wire has it."""
    message = _checked(given)
    if isinstance(message, PromptMessage) and message.stored is not None:
        return message.stored
    role, extra = role_of(message), message.additional_kwargs
    made: dict[str, Any] = {"role": role, "content": _content(message, role)}
    if role == "assistant" and (calls := tool_calls(message)):
        made["content"] = made["content"] or None
        made["tool_calls"] = [openai_call(call) for call in calls]
    if role == "assistant" and (thoughts := _signed_thoughts(message)):
        made["thinking_blocks"] = thoughts
    if role == "tool":
        made["tool_call_id"] = extra.get("tool_call_id") or ""
    elif extra.get("name"):
        made["name"] = extra["name"]
    return made


def turn(given: object) -> Turn:
    """A message as ``compose`` sees it."""
    message = _checked(given)
    texts = [block.text for block in message.blocks if isinstance(block, TextBlock)]
    content: object = "".join(texts)
    if any(not isinstance(block, _TEXTUAL) for block in message.blocks):
        content = [{"type": "text", "text": content}, {"type": "other"}]
    role = role_of(message)
    return Turn("tool" if role == "function" else role, content, message, calls_tools=bool(tool_calls(message)))


def role_of(message: ChatMessage) -> str:
    """OpenAI's word for the role."""
    return _TO_OPENAI.get(message.role, message.role.value)


def tool_calls(message: ChatMessage) -> list[ToolCallBlock]:
    """The tool calls, from blocks or in any of the forms that integrations keep in ``additional_kwargs``."""
    blocks = [block for block in message.blocks if isinstance(block, ToolCallBlock)]
    return blocks or [_called(call) for call in message.additional_kwargs.get("tool_calls") or ()]


def selection(call: ToolCallBlock) -> ToolSelection:
    """A tool call with its arguments read, as far as they have arrived."""
    arguments: object = call.tool_kwargs
    if isinstance(arguments, str):
        try:
            arguments = parse_partial_json(arguments)
        except ValueError:
            arguments = {}
    known = arguments if isinstance(arguments, dict) else {}
    return ToolSelection(tool_id=call.tool_call_id or "", tool_name=call.tool_name, tool_kwargs=known)


def openai_call(call: ToolCallBlock) -> dict[str, Any]:
    """A tool call as the wire has it."""
    arguments = call.tool_kwargs
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return {"id": call.tool_call_id, "type": "function", "function": {"name": call.tool_name, "arguments": text}}


def thinking_block(block: Mapping[str, Any]) -> ThinkingBlock:
    """A block of Anthropic's; what is not its text is what it has to be sent back with."""
    beside = {key: value for key, value in block.items() if key not in {"type", "thinking"}}
    return ThinkingBlock(content=block.get("thinking"), additional_information=beside)


def _signed_thoughts(message: ChatMessage) -> list[dict[str, Any]]:
    """Anthropic's blocks, which only its wire sends back, and it takes none without a signature."""
    made: list[dict[str, Any]] = []
    for block in (one for one in message.blocks if isinstance(one, ThinkingBlock)):
        beside = block.additional_information
        if beside.get("signature"):
            made.append({"type": "thinking", "thinking": block.content or "", "signature": beside["signature"]})
        elif beside.get("data"):
            made.append({"type": "redacted_thinking", "data": beside["data"]})
    return made


def _checked(message: object) -> ChatMessage:
    if not isinstance(message, ChatMessage):
        raise ConfigurationError(f"messages is a list of ChatMessage, not of {type(message).__name__}")
    return message


def _called(call: object) -> ToolCallBlock:
    if isinstance(call, ToolSelection):
        return ToolCallBlock(tool_call_id=call.tool_id, tool_name=call.tool_name, tool_kwargs=call.tool_kwargs)
    plain: Any = call.model_dump() if isinstance(call, BaseModel) else call
    function = plain.get("function") or {}
    return ToolCallBlock(
        tool_call_id=plain.get("id"), tool_name=function.get("name") or "", tool_kwargs=function.get("arguments") or {}
    )


def _block(part: Mapping[str, Any]) -> ContentBlock | None:
    """The block for a content part, or ``None`` where LlamaIndex has none."""
    match part:
        case {"type": "text", "text": str(text)}:
            return TextBlock(text=text)
        case {"type": "image_url", "image_url": {"url": str(url), "detail": str(detail)}}:
            return _image(url, detail)
        case {"type": "image_url", "image_url": {"url": str(url)}}:
            return _image(url, None)
        case {"type": "image_url", "image_url": str(url)}:
            return _image(url, None)
        case {"type": "input_audio", "input_audio": {"data": str(data), "format": form}}:
            return AudioBlock(audio=data.encode(), format=form)
        case _:
            return None


def _image(url: str, detail: str | None) -> ImageBlock | None:
    try:
        block = ImageBlock(url=url, detail=detail)
    except ValueError:
        return None
    block.url = url  # what pydantic makes of it is another text
    return block


def _content(message: ChatMessage, role: str) -> str | list[dict[str, Any]]:
    """Texts joined; parts only where something else is among them, and never for roles that take text alone."""
    blocks: Sequence[ContentBlock] = [block for block in message.blocks if not isinstance(block, _NOT_SENT)]
    if role != "user" or all(isinstance(block, TextBlock) for block in blocks):
        return "".join(block.text for block in blocks if isinstance(block, TextBlock))
    return [_part(block) for block in blocks]


def _part(block: ContentBlock) -> dict[str, Any]:
    try:
        match block:
            case TextBlock():
                return {"type": "text", "text": block.text}
            case ImageBlock():
                held = None if block.url else f"data:{block.image_mimetype};base64,{_base64(block.resolve_image)}"
                image = {"url": held or str(block.url), "detail": block.detail}
                return {"type": "image_url", "image_url": {name: text for name, text in image.items() if text}}
            case AudioBlock():
                audio = {"data": _base64(block.resolve_audio), "format": block.format}
                return {"type": "input_audio", "input_audio": audio}
            case DocumentBlock():
                return {"type": "file", "file": {"filename": block.title, "file_data": block.url or _data_url(block)}}
            case _:
                raise ConfigurationError(f"PromptwireGateway can't send a {block.block_type} block; an llm= may")
    except (ValueError, OSError) as error:
        problem = type(error).__name__
        raise_bare(ConfigurationError(f"a message's {block.block_type} block can't be read: {problem}"))


def _base64(resolve: Callable[..., Any]) -> str:
    return resolve(as_base64=True).read().decode()  # type: ignore[no-any-return]


def _data_url(block: DocumentBlock) -> str:
    """The block holds bytes as base64, but those of a file as they are."""
    data = block.data if isinstance(block.data, bytes) else b64encode(block.resolve_document().read())
    guessed = mimetypes.guess_type(str(block.path or block.title))[0]
    return f"data:{block.document_mimetype or guessed or 'application/octet-stream'};base64,{data.decode()}"
