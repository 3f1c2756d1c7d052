"""A real Redis (or Valkey) that keeps nothing on disk, to be stopped, halted and started again."""

import contextlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.doubles.canaries import CANARIES, MAX_BYTES
from tests.doubles.tls import Certificate

EXECUTABLE = shutil.which("redis-server") or shutil.which("valkey-server")
RIGHTS = "getrange pttl set eval get del publish subscribe unsubscribe ping"
"""What docs/deployment.md says a user needs."""


class RedisServer:
    """On a free loopback port, by TLS if it has a certificate, or with ``unix`` on a socket in a folder of its own."""

    def __init__(
        self, *options: str, unix: bool = False, password: str | None = None, tls: Certificate | None = None
    ) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="redis"))
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        path = str(self._folder / "redis.sock")
        port = "--tls-port" if tls else "--port"
        where = ["--unixsocket", path] if unix else [port, str(self.port), "--bind", "127.0.0.1"]
        if unix or tls:
            where += ["--port", "0"]
        self._options = [*where, "--save", "", "--appendonly", "no", "--dir", str(self._folder), *options]
        self._place: dict[str, Any] = {"unix_socket_path": path} if unix else {"port": self.port}
        self.url = f"unix://{path}" if unix else f"redis://127.0.0.1:{self.port}/0"
        if tls:
            files = {"cert-file": tls.file, "key-file": tls.key, "ca-cert-file": tls.file}
            self._options += [word for name, file in files.items() for word in (f"--tls-{name}", str(file))]
            self._place |= {"ssl": True, "ssl_ca_certs": tls.file, "ssl_certfile": tls.file, "ssl_keyfile": tls.key}
            self.url = self.url.replace("redis:", "rediss:")
        self.password = password
        self._process: subprocess.Popen[bytes] | None = None
        self._clients: list[Any] = []

    def start(self) -> None:
        """Answers once it does."""
        import redis

        assert EXECUTABLE
        self._process = subprocess.Popen([EXECUTABLE, *self._options], stdout=subprocess.DEVNULL)
        deadline, client = time.monotonic() + 20, self.client()
        while True:
            with contextlib.suppress(redis.ConnectionError):
                client.ping()
                return
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def client(self, **options: Any) -> Any:
        """The real SDK's, to look and to tamper with."""
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        at_once = Retry(NoBackoff(), 0)  # the client's own way takes seconds to notice that a server has come up
        made = redis.Redis(**self._place, password=self.password, protocol=2, retry=at_once, **options)
        self._clients.append(made)
        return made

    def keys(self, kind: str) -> list[bytes]:
        """The keys of one kind: prompt, lock, epoch."""
        return sorted(self.client().keys(f"promptwire:{kind}:*"))

    def listening(self) -> int:
        """How many processes have subscribed."""
        return int(self.client().pubsub_numsub("promptwire:invalidate")[0][1])

    def halt(self) -> None:
        """It takes connections, and answers nothing."""
        assert self._process
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self._process
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """Killed; what it held is gone, and was no key."""
        if self._process:
            self._look()
            self._process.kill()
            self._process.wait(20)
            self._process = None

    def _look(self) -> None:
        import redis

        client = self.client(socket_timeout=0.5)
        with contextlib.suppress(redis.RedisError):  # halted, or full
            for name in client.scan_iter():
                CANARIES.look("Redis", name)
                with contextlib.suppress(redis.ResponseError):  # not a text
                    CANARIES.look(f"Redis' {name!r}", client.getrange(name, 0, MAX_BYTES))

    def clean(self) -> None:
        self.stop()
        for client in self._clients:
            client.close()
        shutil.rmtree(self._folder, ignore_errors=True)
