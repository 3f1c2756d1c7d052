"""Structured output of the gateway: the schema as a tool or as a response format, and the parser for the answer."""

from collections.abc import Mapping
from operator import itemgetter
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.output_parsers import BaseOutputParser, JsonOutputParser, PydanticOutputParser
from langchain_core.output_parsers.openai_tools import JsonOutputKeyToolsParser, PydanticToolsParser
from langchain_core.runnables import Runnable, RunnableMap, RunnablePassthrough
from langchain_core.utils.function_calling import convert_to_json_schema, convert_to_openai_tool
from langchain_core.utils.pydantic import is_basemodel_subclass

from promptwire.errors import ConfigurationError

METHODS = ("function_calling", "json_schema", "json_mode")


def structured_output(
    model: BaseChatModel,
    schema: dict[str, Any] | type,
    *,
    method: str,
    strict: bool | None,
    include_raw: bool,
    params: Mapping[str, Any],
) -> Runnable[Any, Any]:
    """The model, made to answer in the schema, and its parser."""
    if method not in METHODS:
        raise ConfigurationError(f"method is one of {', '.join(METHODS)}, not {method!r}")
    traced = {"ls_structured_output_format": {"kwargs": {"method": method, "strict": strict}, "schema": schema}}
    if method == "function_calling":
        name = convert_to_openai_tool(schema)["function"]["name"]
        asked = model.bind_tools([schema], tool_choice=name, strict=strict, **params, **traced)
        return _parsed(asked, _tool_parser(schema, name), include_raw=include_raw)
    asked = model.bind(response_format=_format(schema, method, strict), **params, **traced)
    return _parsed(asked, _text_parser(schema), include_raw=include_raw)


def _format(schema: dict[str, Any] | type, method: str, strict: bool | None) -> dict[str, Any]:
    if method == "json_mode":
        return {"type": "json_object"}
    body = convert_to_json_schema(schema, strict=strict)
    named = {"name": body["title"], "schema": body}
    return {"type": "json_schema", "json_schema": named if strict is None else {**named, "strict": strict}}


def _tool_parser(schema: dict[str, Any] | type, name: str) -> Runnable[Any, Any]:
    if isinstance(schema, type) and is_basemodel_subclass(schema):
        return PydanticToolsParser(tools=[schema], first_tool_only=True)
    return JsonOutputKeyToolsParser(key_name=name, first_tool_only=True)


def _text_parser(schema: dict[str, Any] | type) -> BaseOutputParser[Any]:
    if isinstance(schema, type) and is_basemodel_subclass(schema):
        return PydanticOutputParser(pydantic_object=schema)
    return JsonOutputParser()


def _parsed(asked: Runnable[Any, Any], parser: Runnable[Any, Any], *, include_raw: bool) -> Runnable[Any, Any]:
    if not include_raw:
        return asked | parser
    works = RunnablePassthrough.assign(parsed=itemgetter("raw") | parser, parsing_error=lambda _: None)
    fails = RunnablePassthrough.assign(parsed=lambda _: None)
    return RunnableMap(raw=asked) | works.with_fallbacks([fails], exception_key="parsing_error")
