"""LlamaIndex LLMs whose prompt is kept in Langfuse, Humanloop or a folder of files."""

from llama_index.llms.promptwire.base import Promptwire
from llama_index.llms.promptwire.events import PromptResolvedEvent
from llama_index.llms.promptwire.gateway import PromptwireGateway
from llama_index.llms.promptwire.template import ManagedPromptTemplate

__all__ = ["ManagedPromptTemplate", "PromptResolvedEvent", "Promptwire", "PromptwireGateway"]
