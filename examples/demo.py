"""One managed prompt behind three front doors, then a new version of it, then an outage."""

import argparse
import difflib
import inspect
import os
import time
from pathlib import Path

from llama_index.llms.promptwire import Promptwire

from langchain_promptwire import ChatPromptwire
from promptwire import completion, invalidate, resolve
from promptwire.testing import RequestLog, embedded, publish_file

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--prompt-id", help="a prompt of your Langfuse project; needs LANGFUSE_*_KEY and OPENAI_API_KEY")
parser.add_argument("--var", action="append", default=[], metavar="NAME=VALUE", help="a variable of that prompt")
mine = parser.parse_args()
MODEL, FOLDER, ID = "langfuse/gpt-4o-mini", Path(__file__).parent / "prompts", mine.prompt_id or "support/reply"
VARS = dict(v.partition("=")[::2] for v in mine.var or ["company=ACME", "customer=Ann", "question=Where is my parcel?"])


def openai_shaped() -> object:
    answer = completion(model=MODEL, prompt_id=ID, prompt_variables=VARS)
    return answer.choices[0].message.content


def langchain() -> object:
    llm = ChatPromptwire(model=MODEL, prompt_id=ID)
    return llm.invoke(VARS).content


def llamaindex() -> object:
    llm = Promptwire(model=MODEL, prompt_id=ID, prompt_variables=VARS)
    return llm.complete("").text


with RequestLog() as sent, embedded(langfuse=not mine.prompt_id, openai="OPENAI_API_KEY" not in os.environ) as server:
    if server:
        publish_file(server, FOLDER, ID, version=1)
    for number, door in enumerate((openai_shaped, langchain, llamaindex), 1):
        before = sent.last
        print(f"\n{number}. {inspect.getsource(door)}\n   answers: {door()}")
        print("   to the same request." if sent.last == before else f"   to this request:\n\n{sent.last}")
    if server:
        print(f"\n4. Version {publish_file(server, FOLDER, ID, version=2)} is published. No code changes:\n")
        invalidate()  # what Langfuse's webhook brings about; without it the prompt's 60 s pass first
        openai_shaped()
        changed = difflib.unified_diff(before.splitlines(), sent.last.splitlines(), "before", "after", n=0, lineterm="")
        print("\n".join(changed))
        print("\n5. The prompt server stops:\n")
        server.stop()
        invalidate()
        for _ in range(2):
            started = time.perf_counter()
            prompt = resolve(ID, backend="langfuse", variables=VARS)
            print(f"   source={prompt.source} after {1000 * (time.perf_counter() - started):.1f} ms")
print("\nNext: make test, README.md, or with your own prompt and keys:")
print("  make demo ARGS='--prompt-id NAME --var QUESTION=Why?'")
