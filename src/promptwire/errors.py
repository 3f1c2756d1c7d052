"""Every error that Promptwire raises.

PromptwireError
├── ConfigurationError        missing key, unknown backend, extra not installed
├── PromptNotFoundError       id / version / label does not exist
├── MissingVariablesError     .missing
├── TemplateError             the template is broken, or exceeded its bounds
├── PromptConfigError         the prompt's config is unusable
│   └── ContractError         .missing: it needs variables that the application doesn't declare
├── BackendError              .status_code, .retryable
│   ├── BackendAuthError
│   └── BackendUnavailableError   timeouts, refused, 5xx, 429, open circuit
└── GatewayError              .status_code, .body: the model provider's answer

No class derives from ``ValueError`` or ``TypeError``: LlamaIndex's response synthesizers
catch those two and answer "Empty Response" in their place.
Messages name the backend, the prompt id, what happened and what to do. They never hold a
secret, a header or a variable's value. Nor does what stands behind an error: a parser's own
holds, or repeats, what it was reading, so ours is raised by ``raise_bare`` in its place.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn, Self

from promptwire.display import Displayed
from promptwire.unseen import one_line

if TYPE_CHECKING:
    from pydantic import ValidationError

    from promptwire.display.view import View


class PromptwireError(Displayed, Exception):
    """The base of every error raised by Promptwire."""

    def __str__(self) -> str:
        """The message; what others have named in it neither begins a line of a log nor drives a terminal."""
        return one_line(super().__str__())

    def _view(self) -> "View":
        from promptwire.display.errors import error_view

        return error_view(self)

    def again(self) -> Self:
        """A copy to raise to one more caller, so that tracebacks never mix."""
        twin = type(self).__new__(type(self), *self.args)  # whatever the constructor of a third party's error takes
        twin.__dict__.update(self.__dict__)
        twin.__cause__ = self.__cause__
        twin.__suppress_context__ = True
        return twin


class ConfigurationError(PromptwireError):
    """The caller's arguments or environment don't allow the call; nothing was sent."""


class PromptNotFoundError(PromptwireError):
    """The backend has no prompt of that id, version or label."""


class MissingVariablesError(PromptwireError):
    """Variables or placeholders that the prompt needs were not given; ``missing`` names them all."""

    def __init__(self, message: str, missing: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.missing = tuple(missing)


class TemplateError(PromptwireError):
    """The prompt's template is broken, or exceeded the bounds set for it."""


class PromptConfigError(PromptwireError):
    """The prompt's config is unusable: a value of the wrong type, or an impossible model.

    ``line`` is where its file isn't plain YAML.
    """

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


class ContractError(PromptConfigError):
    """The prompt needs variables or placeholders that its contract lacks; ``missing`` names them all."""

    def __init__(self, message: str, missing: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.missing = tuple(missing)


class BackendError(PromptwireError):
    """The backend's answer can't be used."""

    # For those of a third party, whose constructors may not call this one.
    status_code: int | None = None
    retryable: bool = False
    retry_after: float | None = None

    def __init__(
        self, message: str, *, status_code: int | None = None, retryable: bool = False, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.status_code = status_code
        self.retryable = retryable
        self.retry_after = retry_after


class BackendAuthError(BackendError):
    """The backend refused the credentials (401, 403)."""


class BackendUnavailableError(BackendError):
    """No usable answer came in time: refused, timed out, 408, 429, 5xx, or an open circuit."""


class GatewayError(PromptwireError):
    """The model provider refused, failed or broke off; ``body`` is its answer as text, keys masked.

    ``retry_after`` is the seconds that it asked to wait for, if it did.
    """

    def __init__(
        self,
        message: str,
        *,
        status_code: int | None = None,
        body: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status_code = status_code
        self.body = body
        self.retry_after = retry_after


def unfillable(where: str, error: Exception) -> ConfigurationError:
    """To be raised bare in place of what a value's own methods raised: they may raise anything, and say the value."""
    return ConfigurationError(f"{where}: a variable can't be filled in: its value raised {type(error).__name__}")


def unfit(what: str, error: "ValidationError") -> ConfigurationError:
    """To be raised bare for arguments that pydantic refused, without their values or what those raised."""
    found = [(".".join(map(str, one["loc"])), one["msg"].partition(", error: ")[0]) for one in error.errors()]
    return ConfigurationError(f"{what}: {'; '.join(f'{name}: {wrong}' for name, wrong in found)}")


def raise_bare(error: Exception, behind: BaseException | None = None) -> NoReturn:
    """Raise it without the error that is being handled, neither as its context nor, unless ``behind``, as its cause."""
    try:
        raise error from behind  # noqa: TRY301 - so that it can be taken hold of
    except Exception as raised:
        raised.__context__ = None
        raise
    finally:
        del error, behind  # their tracebacks hold this frame
