"""The parts of a message's content: OpenAI's as Anthropic's blocks, and back."""

from base64 import b64decode, b64encode
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote_to_bytes

from promptwire.errors import ConfigurationError, raise_bare

Block = dict[str, Any]

# Blocks of Anthropic's own that may stand among OpenAI's parts.
_NATIVE = frozenset({"document", "image", "redacted_thinking", "search_result", "thinking", "tool_result", "tool_use"})


@contextmanager
def shaped(what: str, vendor: str = "OpenAI") -> Generator[None]:
    """Whatever goes wrong inside because of the shape of ``what`` is a ``ConfigurationError``."""
    try:
        yield
    except (LookupError, TypeError, AttributeError, ValueError):
        raise_bare(ConfigurationError(f"{what} is not of the shape that {vendor}'s API documents"))


def to_blocks(content: object) -> list[Block]:
    """Anthropic's blocks of a message's content; texts without a letter, which the API refuses, are left out."""
    parts: Iterable[Any] = (content,) if isinstance(content, str) else content or ()  # type: ignore[assignment]
    blocks = [_block({"type": "text", "text": part} if isinstance(part, str) else part) for part in parts]
    return [block for block in blocks if block["type"] != "text" or block["text"].strip()]


def compact(blocks: list[Block]) -> str | list[Block]:
    """The text of a lone text block, else the blocks."""
    return blocks[0]["text"] if len(blocks) == 1 and blocks[0].keys() == {"type", "text"} else blocks


def _block(part: Mapping[str, Any]) -> Block:
    kind = part["type"]
    if kind in _NATIVE:
        return dict(part)
    if kind not in _READERS:
        raise ConfigurationError(f"Anthropic's wire has no content part of type {kind!r}")
    return with_cache(_READERS[kind](part), part)


def with_cache(made: Block, source: Mapping[str, Any]) -> Block:
    """``made``, with the ``cache_control`` of what it was made from."""
    return {**made, "cache_control": source["cache_control"]} if source.get("cache_control") else made


def _text(part: Mapping[str, Any]) -> Block:
    return {"type": "text", "text": part[part["type"]]}


def _image(part: Mapping[str, Any]) -> Block:
    image = part["image_url"]
    return {"type": "image", "source": _source(image if isinstance(image, str) else image["url"])}


def _file(part: Mapping[str, Any]) -> Block:
    file = part["file"]
    data = file.get("file_data")
    if data is None:
        source = {"type": "file", "file_id": file["file_id"]}
    else:
        source = _source(data if ":" in data else f"data:application/pdf;base64,{data}")
    media_type = source.get("media_type", "")
    if media_type.startswith("image/"):
        return {"type": "image", "source": source}
    if media_type.startswith("text/"):
        text = b64decode(source["data"]).decode()
        source = {"type": "text", "media_type": "text/plain", "data": text}
    title = {"title": file["filename"]} if file.get("filename") else {}
    return {"type": "document", "source": source, **title}


_READERS: dict[str, Callable[[Mapping[str, Any]], Block]] = {
    "text": _text, "refusal": _text, "image_url": _image, "file": _file,
}  # fmt: skip


def _source(url: str) -> Block:
    if not url.startswith("data:"):
        return {"type": "url", "url": url}
    head, comma, data = url[5:].partition(",")
    media_type, *flags = head.split(";")
    if not comma or not media_type:
        raise ValueError("no media type")
    if "base64" not in flags:
        data = b64encode(unquote_to_bytes(data)).decode()
    return {"type": "base64", "media_type": media_type.replace("image/jpg", "image/jpeg"), "data": data}


def to_parts(content: Any) -> list[Block]:
    """OpenAI's parts of a message's content. Raises ``ConfigurationError`` for a block that OpenAI has no word for."""
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content or ()
    return [with_cache(_part(block), block) for block in blocks]


def _part(block: Mapping[str, Any]) -> Block:
    kind, source = block["type"], block.get("source") or {}
    if kind == "text":
        return {"type": "text", "text": block["text"]}
    if kind == "image" and source["type"] != "file":
        return {"type": "image_url", "image_url": {"url": _url(source)}}
    if kind == "document" and source["type"] != "content":
        title = {"filename": block["title"]} if block.get("title") else {}
        where = {"file_id": source["file_id"]} if source["type"] == "file" else {"file_data": _url(source)}
        return {"type": "file", "file": {**where, **title}}
    raise ConfigurationError(f"OpenAI's wire has no content part for a block of type {kind!r}")


def _url(source: Mapping[str, Any]) -> str:
    if source["type"] == "url":
        return str(source["url"])
    data = source["data"] if source["type"] == "base64" else b64encode(source["data"].encode()).decode()
    return f"data:{source['media_type']};base64,{data}"
