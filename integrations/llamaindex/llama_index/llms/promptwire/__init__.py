"""LlamaIndex LLMs whose prompt is kept in Langfuse, Humanloop or a folder of files."""

from llama_index.llms.promptwire.base import Promptwire
from llama_index.llms.promptwire.gateway import PromptwireGateway

__all__ = ["Promptwire", "PromptwireGateway"]
