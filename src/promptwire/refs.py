"""Which prompt is meant: its id, and a version or a label."""

from dataclasses import dataclass
from typing import Self

from promptwire.errors import ConfigurationError

MAX_VERSION = 2**31 - 1
MAX_LENGTH = 1000
"""Characters of an id, a label or a textual version: all three are kept, and told in errors."""


@dataclass(frozen=True, slots=True)
class PromptRef:
    """Which prompt is meant: an id, and a version or a label, of at most 1,000 characters each."""

    id: str
    version: int | str | None = None
    label: str | None = None

    def __post_init__(self) -> None:
        _check_id(self.id)
        if self.version is not None and self.label is not None:
            raise ConfigurationError(f"prompt {self.id!r}: give a version or a label, not both")
        if self.version is not None:
            object.__setattr__(self, "version", _version(self.version, self.id))
        if self.label is not None:
            check_label(self.label, self.id)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``id``, ``id@3`` or ``id@staging``, as people type it: the last ``@`` counts.

        Digits are a version, and so is what begins as Humanloop's versions' ids do, ``prv_``.
        """
        name, at, selector = text.rpartition("@")
        if not at or not name:
            return cls(text)
        is_version = selector.isdecimal() or selector.startswith("prv_")
        return cls(name, version=selector) if is_version else cls(name, label=selector)

    def __str__(self) -> str:
        selector = self.version if self.version is not None else self.label
        return self.id if selector is None else f"{self.id}@{selector}"


def check_label(label: object, prompt_id: object) -> None:
    """Raises ``ConfigurationError`` for what is no label."""
    if not isinstance(label, str) or not label.strip():
        raise ConfigurationError(f"prompt {prompt_id!r:.100}: a label is a text that isn't empty, not {label!r:.30}")
    _check_length("label", label)
    if not is_sendable(label):
        raise ConfigurationError(f"prompt {prompt_id!r:.100}: control characters are no part of a label")


def _check_length(what: str, text: str) -> None:
    if len(text) > MAX_LENGTH:
        raise ConfigurationError(
            f"a prompt's {what} has at most {MAX_LENGTH} characters: {text[:30]!r}… has {len(text)}"
        )


def _check_id(prompt_id: object) -> None:
    """Ids are data, but these could reach another endpoint or file whatever their encoding."""
    if not isinstance(prompt_id, str) or not prompt_id.strip():
        raise ConfigurationError(f"a prompt id is a text that isn't empty, not {prompt_id!r:.30}")
    _check_length("id", prompt_id)
    if leads_elsewhere(prompt_id):
        raise ConfigurationError(f"prompt id {prompt_id!r}: '.' and '..' are no part of a prompt's name")
    if not is_sendable(prompt_id):
        raise ConfigurationError(f"prompt id {prompt_id!r}: control characters are no part of a prompt's name")


def leads_elsewhere(name: str) -> bool:
    """Whether a part of it is ``.`` or ``..``, which survive quoting."""
    return any(part in {".", ".."} for part in name.replace("\\", "/").split("/"))


def is_sendable(name: str) -> bool:
    """Whether it holds neither control characters nor halves of one."""
    return name.isprintable() or not any(ord(char) < 32 or 0xD800 <= ord(char) < 0xE000 for char in name)


def _version(given: object, prompt_id: str) -> int | str:
    version = given
    if isinstance(version, str) and not version.isdecimal():
        _check_length("version", version)
    elif isinstance(version, str):
        version = int(version) if len(version) <= 10 else MAX_VERSION + 1
    if isinstance(version, str) and version.strip() and is_sendable(version):
        return version
    if isinstance(version, int) and not isinstance(version, bool) and 1 <= version <= MAX_VERSION:
        return version
    raise ConfigurationError(f"prompt {prompt_id!r}: versions count from 1 to {MAX_VERSION}, got {given!r:.30}")
