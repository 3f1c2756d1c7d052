"""LangChain chat models and prompts that are kept where a team edits them."""

from langchain_promptwire.chat_models import ChatPromptwire
from langchain_promptwire.gateway import ChatPromptwireGateway
from langchain_promptwire.prompts import ManagedPromptTemplate

__all__ = ["ChatPromptwire", "ChatPromptwireGateway", "ManagedPromptTemplate"]
