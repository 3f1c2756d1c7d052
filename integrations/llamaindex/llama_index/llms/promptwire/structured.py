"""Answers as objects of a class: the delegate makes them in its own way, so that OpenAI keeps ``response_format``."""

from collections.abc import AsyncGenerator, Generator, Mapping
from typing import Any, TypeVar

from llama_index.core.prompts import BasePromptTemplate
from llama_index.llms.promptwire.fields import PromptFields
from llama_index.llms.promptwire.run import Ask
from llama_index.llms.promptwire.slots import apinned
from pydantic import BaseModel

M = TypeVar("M", bound=BaseModel)


class ManagedStructure(PromptFields):
    """The four structured endpoints. Streams are resolved when they are asked for, not at their first step."""

    def structured_predict(
        self,
        output_cls: type[M],
        prompt: BasePromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> M:
        ask = self._ask_structured(prompt, llm_kwargs, prompt_args)
        run = ask.run(ask.find())
        return run.structured("structured_predict", output_cls, self.pydantic_program_mode)  # type: ignore[no-any-return]

    async def astructured_predict(
        self,
        output_cls: type[M],
        prompt: BasePromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> M:
        ask = self._ask_structured(await apinned(prompt, self), llm_kwargs, prompt_args)
        run = ask.run(await ask.afind())
        return await run.astructured("astructured_predict", output_cls, self.pydantic_program_mode)  # type: ignore[no-any-return]

    def stream_structured_predict(
        self,
        output_cls: type[M],
        prompt: BasePromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Generator[M, None, None]:
        ask = self._ask_structured(prompt, llm_kwargs, prompt_args)
        run = ask.run(ask.find())
        return run.structured("stream_structured_predict", output_cls, self.pydantic_program_mode)  # type: ignore[no-any-return]

    async def astream_structured_predict(
        self,
        output_cls: type[M],
        prompt: BasePromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> AsyncGenerator[M, None]:
        ask = self._ask_structured(await apinned(prompt, self), llm_kwargs, prompt_args)
        run = ask.run(await ask.afind())
        return await run.astructured("astream_structured_predict", output_cls, self.pydantic_program_mode)  # type: ignore[no-any-return]

    def _ask_structured(
        self, prompt: BasePromptTemplate, llm_kwargs: Mapping[str, Any] | None, args: Mapping[str, Any]
    ) -> Ask:
        return self._ask(self._get_messages(prompt, **args), dict(llm_kwargs or {}), structured=True)
