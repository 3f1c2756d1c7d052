"""The exit codes: one table, which ``promptwire --help`` shows."""

from promptwire.errors import (
    BackendAuthError,
    BackendError,
    GatewayError,
    PromptConfigError,
    PromptNotFoundError,
    PromptwireError,
    TemplateError,
)

OK, FINDINGS, USAGE, NOT_FOUND, AUTH, UPSTREAM = range(6)
INTERRUPTED = 130

MEANINGS = {
    OK: "done",
    FINDINGS: "findings: what was checked is wrong, what was compared differs, what was to be written was not",
    USAGE: "usage: an option, a variable or a setting of the environment is wrong or missing",
    NOT_FOUND: "not found: no such prompt, version or label",
    AUTH: "auth: the backend or the model's provider refused the credentials",
    UPSTREAM: "upstream: no usable answer from the backend or the model's provider",
}

# The first class that fits counts.
_ERRORS: tuple[tuple[type[PromptwireError], int], ...] = (
    (PromptNotFoundError, NOT_FOUND),
    (BackendAuthError, AUTH),
    (BackendError, UPSTREAM),
    (GatewayError, UPSTREAM),
    (TemplateError, FINDINGS),
    (PromptConfigError, FINDINGS),
    (PromptwireError, USAGE),
)


def exit_code(error: PromptwireError) -> int:
    """What a command ends with that ``error`` ended."""
    if isinstance(error, GatewayError) and error.status_code in {401, 403}:
        return AUTH
    return next(code for kind, code in _ERRORS if isinstance(error, kind))
