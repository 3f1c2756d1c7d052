"""The delegate: a framework's own model that runs the rendered prompt, under another model name or with parameters."""

from collections.abc import Mapping
from inspect import signature
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import Runnable, RunnableBinding, RunnableParallel, RunnableSequence

from langchain_promptwire.fields import ModelFields
from promptwire import log
from promptwire.errors import ConfigurationError, PromptConfigError, raise_bare
from promptwire.params import merge_params
from promptwire.prompts import Prompt

# LangChain's words for providers, where they are not those of model strings.
_PROVIDERS = {"google_genai": "gemini", "google_vertexai": "vertex_ai"}
_TOOL_OPTIONS = ("tool_choice", "strict", "parallel_tool_calls")


def bare(llm: object) -> Any:
    """The delegate without what is bound to it: a ``RunnableBinding`` would lose that where tools are bound."""
    return bare(llm.bound) if isinstance(llm, RunnableBinding) else llm


def own_arguments(llm: object) -> dict[str, Any]:
    """The arguments bound to the delegate."""
    return merge_params(own_arguments(llm.bound), llm.kwargs) if isinstance(llm, RunnableBinding) else {}


def rewrapped(llm: object, run: Runnable[Any, Any]) -> Runnable[Any, Any]:
    """What runs in place of the bare delegate, with the configs that were bound to that."""
    if not isinstance(llm, RunnableBinding):
        return run
    return llm.model_copy(update={"bound": rewrapped(llm.bound, run), "kwargs": {}})


def provider_of(llm: object) -> str:
    """The provider that the delegate tells LangSmith, or ``""`` for a runnable that is no chat model."""
    if not isinstance(llm, BaseChatModel):
        return ""
    told = llm._get_ls_params().get("ls_provider", "")  # noqa: SLF001 - how LangChain asks, too
    return _PROVIDERS.get(told, told)


def address_of(llm: object) -> str | None:
    """An OpenAI-compatible host that the delegate was pointed at, which takes any model name."""
    name = "base_url" if isinstance(llm, ModelFields) else "openai_api_base"
    address = getattr(llm, name, None)
    return address if isinstance(address, str) else None


def model_field(llm: object) -> str | None:
    """The field that names the delegate's model, if a copy with another name would run that one."""
    if not isinstance(llm, BaseChatModel) or vars(llm).get("deployment_name"):  # pydantic is slow to say it has none
        return None
    return next((name for name in ("model_name", "model") if name in type(llm).model_fields), None)


def copied(llm: BaseChatModel, changes: Mapping[str, Any]) -> BaseChatModel:
    """The delegate with other fields and the same clients."""
    twin = llm.model_copy(update=changes)
    vars(twin).pop("_serialized", None)  # the cached dump names the old model, also to LangChain's answer cache
    return twin


def with_metadata(llm: Runnable[Any, Any], params: dict[str, Any]) -> Runnable[Any, Any]:
    """Takes the provider's ``metadata`` out of ``params``: as a call's argument it is LangChain's own, of the run."""
    metadata = params.pop("metadata", None)
    if metadata is None:
        return llm
    if not isinstance(llm, BaseChatModel) or "model_kwargs" not in type(llm).model_fields:
        log.logger.warning("metadata for the provider can't be set on a %s: left out", type(llm).__name__)
        return llm
    extra = getattr(llm, "model_kwargs", None) or {}
    return copied(llm, {"model_kwargs": {**extra, "metadata": metadata}})


def with_tools(llm: Runnable[Any, Any], params: dict[str, Any], prompt: Prompt | None = None) -> Runnable[Any, Any]:
    """Takes the tools out of ``params``, which may be the ``prompt``'s, and binds them as the delegate does.

    Agents of LangChain before 1.4 bind an empty list with options; servers refuse those without tools.
    """
    tools = params.pop("tools", None)
    if tools is None:
        return llm
    options = {name: params.pop(name) for name in _TOOL_OPTIONS if name in params}
    if not tools:
        return llm
    try:
        if params.get("response_format") and _wants_strict(llm):
            options.setdefault("strict", True)
        bound: Runnable[Any, Any] = llm.bind_tools(tools, **options)  # type: ignore[attr-defined]
    except (AttributeError, NotImplementedError) as error:
        raise ConfigurationError(f"{type(llm).__name__} can't call tools; give another llm=") from error
    except (ValueError, TypeError, LookupError) as error:
        if prompt is None or tools != prompt.settings().get("tools"):
            raise
        kinds = f"{type(llm).__name__} can't take ({type(error).__name__})"
        raise_bare(PromptConfigError(f"{prompt.where}: config key 'tools' holds one that {kinds}"))
    return bound


def _wants_strict(llm: Any) -> bool:
    """Whether it is OpenAI's, whose SDK parses an answer in a format beside strict tools alone.

    ``ChatOpenAI`` makes them strict where it is handed the format; but it then wants a title in each schema.
    """
    return not getattr(llm, "use_responses_api", None) and "response_format" in signature(llm.bind_tools).parameters


def with_schema(llm: Runnable[Any, Any], options: Mapping[str, Any], params: Mapping[str, Any]) -> Runnable[Any, Any]:
    """The delegate's structured output, its model call taking ``params``: a ``RunnableParallel`` hands none on."""
    try:
        chain: Runnable[Any, Any] = llm.with_structured_output(**options)  # type: ignore[attr-defined]
    except (AttributeError, NotImplementedError) as error:
        raise ConfigurationError(f"{type(llm).__name__} has no structured output; give another llm=") from error
    if isinstance(chain, RunnableSequence) and isinstance(chain.first, RunnableParallel):
        steps = {name: step.bind(**params) for name, step in chain.first.steps__.items()}
        return RunnableSequence(RunnableParallel(steps), *chain.steps[1:])
    return chain.bind(**params)
