"""Answers as objects of a class: the delegate makes them in its own way, so that OpenAI keeps ``response_format``."""

from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import aclosing, closing
from typing import Any, TypeVar, cast

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    ChatResponseGen,
    MessageRole,
)
from llama_index.core.llms.structured_llm import StructuredLLM
from llama_index.core.prompts import BasePromptTemplate
from llama_index.llms.promptwire.endpoints import Completions
from llama_index.llms.promptwire.fields import PromptFields
from llama_index.llms.promptwire.filling import KnowsPrompts
from llama_index.llms.promptwire.run import Run
from llama_index.llms.promptwire.slots import SlotLLM, apinned
from pydantic import BaseModel

from promptwire.errors import GatewayError

M = TypeVar("M", bound=BaseModel)


class ManagedStructure(PromptFields):
    """The four structured endpoints. Streams are resolved when they are asked for, not at their first step."""

    def as_structured_llm(self, output_cls: type[BaseModel], **kwargs: Any) -> StructuredLLM:
        return ManagedStructuredLLM(llm=self, output_cls=output_cls, **kwargs)

    def structured_predict(
        self,
        output_cls: type[M],
        prompt: BasePromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> M:
        run = self.structured_run(self._get_messages(prompt, **prompt_args), llm_kwargs)
        return run.structured("structured_predict", output_cls, self.pydantic_program_mode)  # type: ignore[no-any-return]

    async def astructured_predict(
        self,
        output_cls: type[M],
        prompt: BasePromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> M:
        messages = self._get_messages(await apinned(prompt, self), **prompt_args)
        run = await self.astructured_run(messages, llm_kwargs)
        return await run.astructured("astructured_predict", output_cls, self.pydantic_program_mode)  # type: ignore[no-any-return]

    def stream_structured_predict(
        self,
        output_cls: type[M],
        prompt: BasePromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Generator[M, None, None]:
        run = self.structured_run(self._get_messages(prompt, **prompt_args), llm_kwargs)
        return run.structured("stream_structured_predict", output_cls, self.pydantic_program_mode)  # type: ignore[no-any-return]

    async def astream_structured_predict(
        self,
        output_cls: type[M],
        prompt: BasePromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> AsyncGenerator[M, None]:
        messages = self._get_messages(await apinned(prompt, self), **prompt_args)
        run = await self.astructured_run(messages, llm_kwargs)
        return await run.astructured("astream_structured_predict", output_cls, self.pydantic_program_mode)  # type: ignore[no-any-return]

    def structured_run(self, messages: Sequence[ChatMessage], given: Mapping[str, Any] | None) -> Run:
        ask = self._ask(messages, dict(given or {}), structured=True)
        return ask.run(ask.find())

    async def astructured_run(self, messages: Sequence[ChatMessage], given: Mapping[str, Any] | None) -> Run:
        ask = self._ask(messages, dict(given or {}), structured=True)
        return ask.run(await ask.afind())


class ManagedStructuredLLM(  # pyright: ignore[reportIncompatibleMethodOverride] - LlamaIndex's own hint there is wrong
    KnowsPrompts, SlotLLM, Completions, StructuredLLM
):
    """What ``as_structured_llm`` answers: its calls are the prompt's own, not templates that are filled in again."""

    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        run = self._managed.structured_run(self._managed.worded(messages), kwargs)
        return run.mark(_answer(run.structured("structured_predict", self.output_cls, self._mode)))

    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        run = self._managed.structured_run(self._managed.worded(messages), kwargs)
        return run.mark_each(_answers(run.structured("stream_structured_predict", self.output_cls, self._mode)))

    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        run = await self._managed.astructured_run(self._managed.worded(messages), kwargs)
        return run.mark(_answer(await run.astructured("astructured_predict", self.output_cls, self._mode)))

    async def astream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseAsyncGen:
        run = await self._managed.astructured_run(self._managed.worded(messages), kwargs)
        made = await run.astructured("astream_structured_predict", self.output_cls, self._mode)
        return run.amark_each(_aanswers(made))

    @property
    def _managed(self) -> ManagedStructure:
        return cast("ManagedStructure", self.llm)

    @property
    def _mode(self) -> Any:
        return self.llm.pydantic_program_mode


def _answer(made: object) -> ChatResponse:
    if not isinstance(made, BaseModel):
        raise GatewayError("the model's answer is not one object of the class")
    return ChatResponse(message=ChatMessage(made.model_dump_json(), role=MessageRole.ASSISTANT), raw=made)


def _answers(made: Generator[object, None, None]) -> ChatResponseGen:
    with closing(made):
        yield from map(_answer, made)


async def _aanswers(made: AsyncGenerator[object, None]) -> ChatResponseAsyncGen:
    async with aclosing(made):
        async for one in made:
            yield _answer(one)
