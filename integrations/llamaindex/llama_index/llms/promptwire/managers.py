"""LlamaIndex's older callbacks: who counts the tokens of a delegate's call."""

from llama_index.core.callbacks import CallbackManager
from llama_index.core.llms.llm import LLM

MAX_KEPT = 100


class Managers:
    """Copies of delegates, each with the callback manager that engines set on the LLM around it; none is changed."""

    def __init__(self) -> None:
        # Each entry holds what its key's ids are of, so that they stay theirs.
        self._kept: dict[tuple[int, int], tuple[LLM, CallbackManager, LLM]] = {}

    def reporting(self, llm: LLM, manager: CallbackManager, *, owned: bool) -> LLM:
        """The LLM, or a copy that reports to ``manager``; one that isn't ``owned`` reports to its own as well."""
        own = llm.callback_manager
        if own.handlers == manager.handlers or not (owned or manager.handlers):
            return llm
        key = id(llm), id(manager)
        kept = self._kept.get(key)
        if kept is None:
            if len(self._kept) >= MAX_KEPT:
                self._kept.clear()
            shared = manager if owned or not own.handlers else CallbackManager()
            copy = llm.model_copy(update={"callback_manager": shared})
            kept = self._kept.setdefault(key, (llm, manager, copy))
        copy = kept[2]
        if copy.callback_manager is not manager:
            both = [*own.handlers, *(one for one in manager.handlers if one not in own.handlers)]
            copy.callback_manager.set_handlers(both)  # those of either may have changed
        return copy
