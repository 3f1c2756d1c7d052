"""Which prompt is meant: what people type, and what is no prompt's name."""

from typing import Any

import pytest

from promptwire import PromptRef
from promptwire.errors import ConfigurationError


@pytest.mark.parametrize(
    ("text", "ref"),
    [
        ("hi", PromptRef("hi")),
        ("hi@3", PromptRef("hi", version=3)),
        ("hi@007", PromptRef("hi", version=7)),
        ("hi@staging", PromptRef("hi", label="staging")),
        ("hi@3.1", PromptRef("hi", label="3.1")),
        ("team/hi@prv_9aZ", PromptRef("team/hi", version="prv_9aZ")),
        ("hi@prv", PromptRef("hi", label="prv")),
        ("a@b@staging", PromptRef("a@b", label="staging")),
        ("team/hi@latest", PromptRef("team/hi", label="latest")),
        ("@hi", PromptRef("@hi")),
        ("@", PromptRef("@")),
        ("a#b?c 100%", PromptRef("a#b?c 100%")),
        ("...", PromptRef("...")),
    ],
)
def test_what_people_type(text: str, ref: PromptRef) -> None:
    assert PromptRef.parse(text) == ref
    assert PromptRef.parse(str(ref)) == ref


@pytest.mark.parametrize("text", ["", " ", "hi@", "hi@0", "hi@2147483648", "hi@" + "9" * 5000, "../x@3"])
def test_what_means_nothing(text: str) -> None:
    with pytest.raises(ConfigurationError):
        PromptRef.parse(text)


@pytest.mark.parametrize("prompt_id", ["", " \t", None, 5, b"x"])
def test_an_id_is_a_text(prompt_id: object) -> None:
    with pytest.raises(ConfigurationError, match="a prompt id is a text that isn't empty"):
        PromptRef(prompt_id)  # type: ignore[arg-type]


@pytest.mark.parametrize("prompt_id", [".", "..", "../x", "a/..", "a/./b", "..\\x", "a\\..\\b", "/.."])
def test_ids_that_could_lead_elsewhere(prompt_id: str) -> None:
    with pytest.raises(ConfigurationError, match=r"'\.' and '\.\.' are no part"):
        PromptRef(prompt_id)


@pytest.mark.parametrize("prompt_id", ["a\0b", "a\nb", "\x1b[31m", "a\ud800"])
def test_ids_that_nothing_can_show(prompt_id: str) -> None:
    with pytest.raises(ConfigurationError, match="control characters") as caught:
        PromptRef(prompt_id)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(("given", "version"), [(3, 3), ("3", 3), (2**31 - 1, 2**31 - 1), ("v-9f", "v-9f")])
def test_versions(given: int | str, version: int | str) -> None:
    assert PromptRef("hi", version=given).version == version


@pytest.mark.parametrize("version", [0, -1, 2**31, True, 1.0, "", " ", "0", "2147483648", "9" * 5000])
def test_no_versions(version: object) -> None:
    with pytest.raises(ConfigurationError, match="prompt 'hi': versions count from 1 to 2147483647, got") as caught:
        PromptRef("hi", version=version)  # type: ignore[arg-type]
    assert len(str(caught.value)) < 100


@pytest.mark.parametrize("label", ["", " ", 5])
def test_no_labels(label: object) -> None:
    with pytest.raises(ConfigurationError, match="prompt 'hi': a label is a text"):
        PromptRef("hi", label=label)  # type: ignore[arg-type]


@pytest.mark.parametrize("label", ["a\nb", "a\0", "\ud800"])
def test_labels_that_nothing_can_show(label: str) -> None:
    with pytest.raises(ConfigurationError, match="prompt 'hi': control characters are no part of a label"):
        PromptRef("hi", label=label)


def test_version_or_label() -> None:
    with pytest.raises(ConfigurationError, match="prompt 'hi': give a version or a label, not both"):
        PromptRef("hi", version=1, label="production")


LONG = "x" * 1000


@pytest.mark.parametrize("given", [{}, {"version": LONG}, {"label": LONG}])
def test_a_thousand_characters_are_the_most(given: dict[str, str]) -> None:
    assert PromptRef(LONG, **given).id == LONG


@pytest.mark.parametrize(
    "given",
    [{"id": LONG + "x"}, {"version": LONG + "x"}, {"label": LONG + "x"}, {"id": LONG * 1000}, {"id": [LONG]}],
)
def test_longer_names_are_refused_and_not_repeated(given: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"has at most 1000 characters|not \['x") as caught:
        PromptRef(**{"id": "hi", **given})
    assert len(str(caught.value)) < 150
