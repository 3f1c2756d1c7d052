"""The server: uvicorn with its bounds, its signals, and a config that can be read anew."""

import asyncio
import ipaddress
import os
import signal
import socket
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import uvicorn

from promptwire import log
from promptwire.errors import ConfigurationError
from promptwire.proxy.app import build_app
from promptwire.proxy.config import Config
from promptwire.proxy.protocol import BoundedProtocol
from promptwire.proxy.service import Service

LOOK_SECONDS = 1.0
DRAIN_SECONDS = 2.0
GRACE_SECONDS = 30


def run(config: Config, path: str | os.PathLike[str] | None, host: str, port: int) -> int:
    """Serve until a signal ends it."""
    check_host(host, config)
    server = Server(Service(config, path), host, port)
    server.run()
    return 0 if server.started else 1


def check_host(host: str, config: Config) -> None:
    """Without a key, whoever reaches the port could spend the operator's money."""
    if config.master_key is None and not is_loopback(host):
        raise ConfigurationError(
            f"--host {host} can be reached from other machines: set general_settings.master_key in the config file"
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach it."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _show(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What fails beside the requests: asyncio would log the error's text."""
    if (error := context.get("exception")) is None:
        loop.default_exception_handler(context)
    else:
        log.show_foreign("the server", error)


class Server(uvicorn.Server):
    """Announces its address; at SIGTERM it says "not ready" first, serves on for 2 s, then finishes what runs."""

    def __init__(self, service: Service, host: str, port: int) -> None:
        self.service = service
        super().__init__(
            uvicorn.Config(
                build_app(service), host=host, port=port, http=BoundedProtocol, ws="none", lifespan="off",
                log_config=None, access_log=False, server_header=False, proxy_headers=False,
                timeout_graceful_shutdown=GRACE_SECONDS,
            )
        )  # fmt: skip

    @property
    def port(self) -> int:
        """The port that it listens at."""
        found: int = self.servers[0].sockets[0].getsockname()[1]
        return found

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say so."""
        asyncio.get_running_loop().set_exception_handler(_show)
        try:
            await super().startup(sockets)
        except SystemExit as error:
            raise ConfigurationError(
                f"{self.config.host}:{self.config.port} can't be listened at: is it in use?"
            ) from error
        host = f"[{self.config.host}]" if ":" in self.config.host else self.config.host
        summary = self.service.config.summary
        sys.stderr.write(f"Promptwire serves {summary} at http://{host}:{self.port}\n")
        sys.stderr.flush()

    async def main_loop(self) -> None:
        """Serve, with an eye on the config file."""
        watch = asyncio.create_task(self._watch())
        try:
            await super().main_loop()
        finally:
            watch.cancel()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish what runs, and leave."""
        self.service.draining = True
        await super().shutdown(sockets)
        await self.service.close()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self.service.reload_if_changed()

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Unlike uvicorn's own, they are not raised again at the end: a stop that was asked for is a success."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()
        handlers = {signal.SIGINT: self.stop, signal.SIGTERM: self.drain, signal.SIGHUP: self.service.reload}
        for number, handler in handlers.items():
            loop.add_signal_handler(number, handler)
        try:
            yield
        finally:
            for number in handlers:
                loop.remove_signal_handler(number)

    def drain(self) -> None:
        """Be not ready, so that balancers look elsewhere, and stop listening a little later."""
        if self.service.draining:
            return
        self.service.draining = True
        asyncio.get_running_loop().call_later(DRAIN_SECONDS, self.stop)

    def stop(self) -> None:
        """Stop listening; a second time, don't wait for what runs either."""
        self.force_exit = self.should_exit
        self.should_exit = True
