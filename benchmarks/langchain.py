"""``ChatPromptwire`` with a cached prompt, over ``ChatOpenAI`` and on its gateway, beside that and ``ChatLiteLLM``."""

import json
from typing import Any

from langchain_openai import ChatOpenAI

from benchmarks.harness import VARIABLES, Report, interleave, serving, timed
from benchmarks.peers import CALL, body, litellm
from benchmarks.server import CONFIG
from langchain_promptwire import ChatPromptwire, ManagedPromptTemplate

SETTINGS: dict[str, Any] = CONFIG


def measure(report: Report) -> None:
    calls, streams = (40, 10) if report.quick else (120, 25)
    sent = json.loads(body())["messages"]
    plain = ChatOpenAI(**SETTINGS)
    over, gateway = ChatPromptwire(**CALL, llm=ChatOpenAI(model="gpt-4o")), ChatPromptwire(**CALL)
    template = ManagedPromptTemplate("text", backend="langfuse") | plain
    subjects = {
        "ChatOpenAI": timed(lambda: plain.invoke(sent), calls),
        "over it": timed(lambda: over.invoke([]), calls),
        "gateway": timed(lambda: gateway.invoke([]), calls),
        "template": timed(lambda: template.invoke(VARIABLES), calls),
        "ChatOpenAI stream": timed(lambda: _read(plain.stream(sent)), streams),
        "over it, stream": timed(lambda: _read(over.stream([])), streams),
        "gateway stream": timed(lambda: _read(gateway.stream([])), streams),
    }
    with litellm(report) as peer:
        if peer:
            subjects["ChatLiteLLM"] = peer.measure("langchain", calls // 4)
        samples = interleave(subjects, report.rounds)
    report.compare("ChatPromptwire(llm=X) vs X", samples["over it"], samples["ChatOpenAI"], at_most=1.2)
    report.compare("ChatPromptwire() vs ChatOpenAI", samples["gateway"], samples["ChatOpenAI"], at_most=1)
    if peer:
        report.compare("… vs ChatLiteLLM", samples["gateway"], samples["ChatLiteLLM"], at_most=0.5)
    report.compare("template | X vs X", samples["template"], samples["ChatOpenAI"])
    report.compare("100 chunks: llm=X vs X", samples["over it, stream"], samples["ChatOpenAI stream"])
    report.compare("100 chunks vs ChatOpenAI", samples["gateway stream"], samples["ChatOpenAI stream"])


def _read(chunks: Any) -> None:
    for _ in chunks:
        pass


def main() -> None:
    packages = ["promptwire", "langchain-promptwire", "langchain-core", "langchain-openai", "openai"]
    report = Report.of_arguments("LangChain: a model call with a cached prompt", packages)
    with serving():
        measure(report)
    report.finish()


if __name__ == "__main__":
    main()
