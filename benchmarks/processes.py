"""Proxies in processes of their own, and what the system says of them (Linux: from /proc)."""

import contextlib
import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.harness import ROOT

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


class Proxy:
    """A proxy in a process of its own."""

    def __init__(self, process: "subprocess.Popen[bytes]", port: int, started: float) -> None:
        self.pid = process.pid
        self.port = port
        self.start_up = started
        self.memory = self.resident()

    def resident(self) -> float:
        """Bytes, of it and its children."""
        return float(sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE for pid in self._family()))

    def cpu(self) -> float:
        """Seconds, of it and its children."""
        spent = 0
        for pid in self._family():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            spent += int(fields[11]) + int(fields[12])
        return spent / TICKS

    def open_sockets(self) -> int:
        """Of this process alone."""
        links = Path(f"/proc/{self.pid}/fd").iterdir()
        return sum(str(link.readlink()).startswith("socket:") for link in links if link.is_symlink())

    def _family(self) -> list[int]:
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return [self.pid, *map(int, children)]


@contextmanager
def running(command: Sequence[str | Path], port: int) -> Generator[Proxy]:
    """A proxy that answers; ``start_up`` is the seconds until it did."""
    start = time.perf_counter()
    quiet = subprocess.DEVNULL
    with subprocess.Popen([str(word) for word in command], cwd=ROOT, stdout=quiet, stderr=quiet) as process:
        try:
            while not _answers(port):
                if process.poll() is not None or time.perf_counter() - start > 120:
                    sys.exit(f"{command[0]} does not serve; run it by hand to see why")
                time.sleep(0.01)
            yield Proxy(process, port, time.perf_counter() - start)
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(15)
            process.kill()


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/health/liveliness")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
