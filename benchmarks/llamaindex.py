"""LlamaIndex: ``Promptwire`` beside the LLM that it runs, beside ``OpenAI``, and beside LlamaIndex's ``LiteLLM``."""

from collections.abc import Callable
from typing import Any

from llama_index.core.llms import ChatMessage
from llama_index.core.llms.llm import LLM
from llama_index.llms.openai import OpenAI
from llama_index.llms.promptwire import Promptwire, PromptwireGateway

from benchmarks.harness import VARIABLES, Report, interleave, serving, timed
from benchmarks.peers import litellm
from benchmarks.server import CONFIG, TEXT


def sent() -> tuple[list[ChatMessage], dict[str, Any]]:
    """What the prompt comes to: a bare LLM is to send the same bytes."""
    text = TEXT + "text"
    for name, value in VARIABLES.items():
        text = text.replace("{{" + name + "}}", value)
    return [ChatMessage(text)], {name: value for name, value in CONFIG.items() if name != "model"}


def measure(report: Report, url: str) -> None:
    calls = 30 if report.quick else 150
    messages, params = sent()
    openai = OpenAI(model=str(CONFIG["model"]), api_base=url, api_key="sk-bench")
    gateway = PromptwireGateway(model=f"openai/{CONFIG['model']}")

    def bare(llm: LLM) -> Callable[[], float]:
        return timed(lambda: llm.chat(messages, **params), calls)

    def ours(**given: Any) -> Callable[[], float]:
        llm = Promptwire(model="langfuse/gpt-4o", prompt_id="text", prompt_variables=VARIABLES, **given)
        return timed(lambda: llm.chat([]), calls)

    subjects = {
        "OpenAI": bare(openai),
        "ours on OpenAI": ours(llm=openai),
        "gateway": bare(gateway),
        "ours on a gateway": ours(llm=gateway),
        "ours": ours(),
    }
    with litellm(report) as peer:
        if peer:
            subjects["LiteLLM"] = peer.measure("llama_index", calls // 5)
        samples = interleave(subjects, report.rounds)
    report.compare("Promptwire(llm=OpenAI)", samples["ours on OpenAI"], samples["OpenAI"], at_most=1.2)
    report.compare("Promptwire(llm=its gateway)", samples["ours on a gateway"], samples["gateway"], at_most=1.2)
    report.compare("Promptwire vs OpenAI", samples["ours"], samples["OpenAI"], at_most=1)
    if peer:
        report.compare("Promptwire vs LlamaIndex LiteLLM", samples["ours"], samples["LiteLLM"], at_most=0.5)


def main() -> None:
    packages = ["llama-index-core", "llama-index-llms-openai", "llama-index-llms-promptwire"]
    report = Report.of_arguments("LlamaIndex with a cached prompt", packages)
    with serving() as server:
        measure(report, server.url)
    report.finish()


if __name__ == "__main__":
    main()
