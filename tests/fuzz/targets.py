"""What is fuzzed: each target takes any bytes, and raises for a broken promise alone."""

import json
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from langfuse.model import TemplateParser

from promptwire import Prompt, PromptRef, PromptwireError, TemplateError
from promptwire.backends.files import FilesBackend, parse_prompt
from promptwire.backends.folder import read_yaml
from promptwire.backends.http import Http
from promptwire.backends.humanloop import HumanloopBackend
from promptwire.backends.humanloop_dotprompt import read_dotprompt
from promptwire.backends.langfuse import LangfuseBackend
from promptwire.backends.langfuse import parse_prompt as parse_langfuse
from promptwire.dialects import in_dialect
from promptwire.errors import GatewayError
from promptwire.gateway.wires import find_wire
from promptwire.params import PROMPT_PARAMS
from promptwire.refs import MAX_VERSION
from promptwire.stores import StoreKey
from promptwire.stores.records import RecordError, from_record, seal, to_record, unseal
from promptwire.templates import compile_template

HOST = "http://prompts.test/base"
MARK = "\ue000"  # in a value, and nowhere else
VALUES: Mapping[str, Any] = {"x": f"{MARK}{{{{ y }}}}{{% if x %}}\nsystem: {MARK}", "y": [1, {"a": MARK}], "z": None}


class Sent(Exception):  # noqa: N818 - no error: it carries a request out of the backend
    """What a backend would have sent."""

    def __init__(self, url: str, body: object) -> None:
        super().__init__(url)
        self.url = url
        self.body = body


class Recording(Http):
    """Takes the first request for the answer."""

    def get_json(self, url: str, *, headers: Any = None, query: Any = None) -> Any:
        raise Sent(url + "?" + "&".join(f"{name}={value}" for name, value in (query or {}).items()), None)

    def post_json(self, url: str, body: object, *, headers: Any = None) -> Any:
        raise Sent(url, body)


def text_of(data: bytes) -> str:
    """Any text, lone surrogates too."""
    return data.decode("utf-8", "surrogatepass") if _is_lenient(data) else data.decode("utf-8", "replace")


def _is_lenient(data: bytes) -> bool:
    with suppress(UnicodeDecodeError):
        data.decode("utf-8", "surrogatepass")
        return True
    return False


def fuzz_jinja(data: bytes) -> None:
    """A template renders, within its bounds, or is refused; in both modes it says the same of its errors."""
    text = text_of(data)
    with suppress(TemplateError):
        template = compile_template(text, "jinja")
        modes: tuple[list[str] | None, ...] = ([], None)
        for missing in modes:
            with suppress(TemplateError):
                rendered = template.render(VALUES, missing)
                assert type(rendered) is str
                assert len(rendered) <= 1_000_000


def fuzz_mustache(data: bytes) -> None:
    """It fills as Langfuse's own SDK does; in strict mode, too, a value is never looked into."""
    text = text_of(data)
    template = compile_template(text, "mustache")
    assert template.source == text
    values = dict.fromkeys(template.variables, VALUES["x"])
    assert template.render(values, None) == TemplateParser.compile_template(text, values)
    missing: list[str] = []
    assert template.render(values, missing).count(MARK) - text.count(MARK) >= 2 * len(template.variables)
    assert missing == []
    _check_segments(template, values)


def fuzz_humanloop(data: bytes) -> None:
    """What is filled in stands where its tag stood, and nothing else has changed."""
    text = text_of(data)
    template = compile_template(text, "humanloop")
    assert template.source == text
    assert template.render({}, None) == text
    values = dict.fromkeys(template.variables, VALUES["x"])
    _check_segments(template, values)


def _check_segments(template: Any, values: Mapping[str, Any]) -> None:
    pieces = template.segments(values)
    rest = "".join(piece.text for piece in pieces if not piece.filled)
    whole = "".join(piece.text for piece in pieces)
    assert template.render(values, []) == whole
    assert rest.count(MARK) <= template.source.count(MARK)


def fuzz_dialects(data: bytes) -> None:
    """A prompt that is moved to another dialect says the same there."""
    text = text_of(data[2:])
    names = ("mustache", "humanloop", "jinja")
    one, other = (names[byte % 3] for byte in data[:2].ljust(2, b"\0"))
    with suppress(PromptwireError):
        prompt = Prompt("p", text=text, dialect=one)
        moved = in_dialect(prompt, other, "there")
        values = dict.fromkeys(prompt.variables, VALUES["x"])
        assert moved.variables == prompt.variables
        assert moved.render(values).messages == prompt.render(values).messages


def fuzz_yaml(data: bytes) -> None:
    """A prompt's file is a prompt, or is refused."""
    with suppress(PromptwireError):
        prompt = parse_prompt(read_yaml(text_of(data), "p"), "p", Path("p.yaml"), "files prompt 'p'")
        _use(prompt)


def fuzz_dotprompt(data: bytes) -> None:
    """A ``.prompt`` file is one, or is refused; roles are its tags' alone."""
    with suppress(PromptwireError):
        body = read_dotprompt(text_of(data), "p")
        roles = [message["role"] for message in body["template"]] if isinstance(body["template"], list) else []
        assert set(roles) <= {"system", "developer", "user", "assistant", "tool"}


def fuzz_langfuse(data: bytes) -> None:
    """A server's answer is a prompt, or is refused; what is sent of it is on the list."""
    with suppress(PromptwireError, ValueError, RecursionError):
        body = json.loads(data)
        with suppress(PromptwireError):
            _use(parse_langfuse(body, PromptRef("p"), "langfuse prompt 'p'"))


def _use(prompt: Prompt) -> None:
    """Render it, and keep it."""
    assert set(prompt.settings()) <= set(PROMPT_PARAMS)
    key = StoreKey("b", "identity", PromptRef("p"))
    with suppress(RecordError):
        assert from_record(json.loads(json.dumps(to_record(prompt)))) == prompt
        assert unseal(key, seal(key, prompt)) == prompt
    with suppress(PromptwireError):
        slots: dict[str, list[Any]] = {name: [] for name in prompt.placeholders}
        rendered = prompt.render({**dict.fromkeys(prompt.variables, MARK), **slots})
        stored = [step.message["role"] for step in prompt.steps if hasattr(step, "message") or hasattr(step, "role")]
        assert [message["role"] for message in rendered.messages] == stored


def fuzz_ids(data: bytes) -> None:
    """An id, a label and a version reach the place that is theirs, in every backend and store, or are refused."""
    prompt_id, _, selector = text_of(data).partition("\x01")
    with suppress(PromptwireError):
        ref = PromptRef.parse(prompt_id) if not selector else PromptRef(prompt_id, label=selector)
        _check_file(ref)
        _check_urls(ref)
        assert StoreKey("b", "identity", ref).name.isalnum()
        assert isinstance(ref.version, str | None) or 1 <= ref.version <= MAX_VERSION


@cache
def _folder() -> FilesBackend:
    return FilesBackend(tempfile.gettempdir())


def _check_file(ref: PromptRef) -> None:
    with suppress(PromptwireError):
        path = _folder().path_of(ref.id)
        root = _folder().folder.root
        assert path.resolve().is_relative_to(root.resolve())
        assert path.relative_to(root).as_posix() == f"{ref.id}.yaml"


def _check_urls(ref: PromptRef) -> None:
    for backend in (LangfuseBackend("pk", "sk", HOST), HumanloopBackend("key", HOST)):
        with suppress(PromptwireError):
            try:
                backend.fetch(ref, Recording("p", lambda: 0.0))
            except Sent as sent:
                _check_sent(sent, ref)


def _check_sent(sent: Sent, ref: PromptRef) -> None:
    url, _, query = sent.url.partition("?")
    parts = urlsplit(url)
    assert (parts.scheme, parts.netloc, parts.fragment) == ("http", "prompts.test", "")
    assert not {".", ".."} & set(parts.path.split("/"))
    if isinstance(sent.body, dict):
        assert parts.path == "/base/files/retrieve-by-path"
        assert sent.body == {"path": ref.id}
        assert parse_qsl(query, keep_blank_values=True) == ([] if ref.label is None else [("environment", ref.label)])
    else:
        place, _, last = parts.path.rpartition("/")
        assert place in {"/base/api/public/v2/prompts", "/base/prompts"}
        assert unquote(last) == ref.id


def fuzz_records(data: bytes) -> None:
    """No bytes but those that were sealed are taken for a record."""
    key = StoreKey("b", "identity", PromptRef("p"))
    with suppress(RecordError):
        unseal(key, data)
        raise AssertionError
    with suppress(RecordError, ValueError, RecursionError):
        from_record(json.loads(data))


def fuzz_streams(data: bytes) -> None:
    """A stream, cut anywhere, is chunks or a ``GatewayError``; where it is cut makes no difference."""
    for name in ("openai", "anthropic"):
        whole, cut = (_streamed(name, pieces) for pieces in ([data], [data[i : i + 7] for i in range(0, len(data), 7)]))
        assert whole == cut


def _streamed(wire: str, pieces: list[bytes]) -> list[Any]:
    events = find_wire(wire).events()
    found: list[Any] = []
    try:
        for piece in pieces:
            found.extend(events.feed(piece))
        events.end()
    except GatewayError as error:
        found.append(str(error))
    for chunk in found:
        if isinstance(chunk, dict):
            chunk.pop("created", None)
    return found


TARGETS: dict[str, Callable[[bytes], None]] = {
    name.removeprefix("fuzz_"): target for name, target in list(globals().items()) if name.startswith("fuzz_")
}
