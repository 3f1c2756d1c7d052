"""A process of its own whose resolver has a store; it does what it is told, line by line."""

import json
import subprocess
import sys
from typing import Any

SCRIPT = """
import asyncio, json, os, sys
from promptwire import Resolver
resolver = Resolver("langfuse", store=sys.argv[1], **json.loads(sys.argv[2]))
resolver.open_backend()
def find(prompt_id, options={}):
    prompt, source = resolver.find(prompt_id, **options)
    return [prompt.version, source]
def afind(prompt_id):
    prompt, source = asyncio.run(resolver.afind(prompt_id))
    return [prompt.version, source]
def invalidate(*ids):
    return resolver.invalidate(*ids)
async def _ainvalidate(*ids):
    return resolver.invalidate(*ids)
def ainvalidate(*ids):
    return asyncio.run(_ainvalidate(*ids))
def fork(prompt_id):
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.write(writer, json.dumps([find(prompt_id), find(prompt_id)]).encode())
        os._exit(0)
    os.wait()
    return json.loads(os.read(reader, 1000))
print(json.dumps("ready"), flush=True)
for line in sys.stdin:
    name, args = json.loads(line)
    print(json.dumps(globals()[name](*args)), flush=True)
"""


class Worker:
    def __init__(self, store: str, **options: Any) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, store, json.dumps(options)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
        )  # fmt: skip

    def tell(self, name: str, *args: Any) -> None:
        assert self.process.stdin
        self.process.stdin.write(json.dumps([name, args]) + "\n")

    def hear(self) -> Any:
        assert self.process.stdout
        return json.loads(self.process.stdout.readline())

    def do(self, name: str, *args: Any) -> Any:
        self.tell(name, *args)
        return self.hear()

    def kill(self) -> None:
        self.process.kill()

    def end(self) -> None:
        """By the end of its input, as any program; the exit must not be delayed."""
        with self.process as process:
            assert process.stdin
            process.stdin.close()
            process.wait(20)
