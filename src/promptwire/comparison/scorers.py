"""What an answer is worth."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from promptwire.errors import ConfigurationError, raise_bare
from promptwire.optional import needed

Score: TypeAlias = Callable[[str, Mapping[str, Any]], Any]
Scorer: TypeAlias = str | Mapping[str, Any] | Score


def find_scorer(given: Scorer | None, cases: Sequence[Mapping[str, Any]]) -> Score | None:
    """A function of an answer's text and its case. Raises ``ConfigurationError`` for what can't score these cases."""
    if given is None or callable(given):
        return given
    if isinstance(given, Mapping):
        schema = given
        needed("jsonschema")
        return lambda text, _: _matches(text, schema)
    judge = _NAMED.get(given)
    if judge is None:
        raise ConfigurationError(f"scorer is a function, a JSON schema, or one of {', '.join(_NAMED)}, not {given!r}")
    for number, case in enumerate(cases, 1):
        if "expected" not in case:
            raise ConfigurationError(f"scorer={given!r} needs an 'expected' in every case; case {number} has none")
    return lambda text, case: judge(text, case["expected"])


def _exact(text: str, expected: Any) -> bool:
    return text.strip() == str(expected).strip()


def _regex(text: str, expected: Any) -> bool:
    try:
        return re.search(str(expected), text) is not None
    except re.error as error:
        raise_bare(ConfigurationError(f"a case's 'expected' is no regular expression: {error.msg}"))


def _matches(text: str, schema: Any) -> bool:
    """Whether the text is JSON of the schema; in a fence, as models like to answer, too."""
    jsonschema = needed("jsonschema")
    fenced = re.fullmatch(r"\s*```(?:json)?\n(.*)\n```\s*", text, re.DOTALL)
    try:
        jsonschema.validate(json.loads(fenced[1] if fenced else text), schema)
    except (ValueError, RecursionError, jsonschema.ValidationError):
        return False
    return True


_NAMED: dict[str, Callable[[str, Any], bool]] = {"exact": _exact, "regex": _regex, "json_schema": _matches}
