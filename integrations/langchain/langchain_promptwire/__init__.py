"""LangChain chat models whose prompt is kept where a team edits it."""

from langchain_promptwire.chat_models import ChatPromptwire
from langchain_promptwire.gateway import ChatPromptwireGateway

__all__ = ["ChatPromptwire", "ChatPromptwireGateway"]
