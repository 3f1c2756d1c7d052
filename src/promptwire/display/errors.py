"""An error as a view: what happened, and what to do."""

from promptwire.display.view import Block, Span, View
from promptwire.errors import PromptwireError

_ADVICE = {
    "BackendAuthError": "Check the backend's keys in the environment, and that they belong to its host.",
    "BackendError": "Ask the backend for the prompt yourself: its answer is not what its API promises.",
    "BackendUnavailableError": "Calls with fallback= or a prompt that was read before go on; this one had neither.",
    "ConfigurationError": "Nothing was sent. Correct the argument or the variable that the message names.",
    "GatewayError": "The prompt is fine; this is the model provider's answer. Its body is in .body.",
    "MissingVariablesError": "Pass the variables in prompt_variables, or missing='keep' to see their tags.",
    "PromptConfigError": "Correct the prompt's config where the prompt is edited, or ignore_prompt_params=True.",
    "PromptNotFoundError": "Look for the id, the version or the label where the prompt is edited.",
    "TemplateError": "Correct the prompt's text where it is edited.",
}


def error_view(error: PromptwireError) -> View:
    """The message, and advice for its class."""
    kinds = [kind.__name__ for kind in type(error).__mro__]
    advice = next((_ADVICE[kind] for kind in kinds if kind in _ADVICE), "")
    missing = ", ".join(getattr(error, "missing", ()))
    facts = [("status_code", status)] if (status := str(getattr(error, "status_code", None) or "")) else []
    facts += [("missing", missing)] if missing else []
    blocks = [Block("what happened", [Span(str(error), "missing")])]
    blocks += [Block("what to do", [Span(advice)])] if advice else []
    return View(kinds[0], (), facts, blocks=blocks)
