"""What all requests share, and how a new config takes the place of the one before."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from promptwire import log
from promptwire.errors import ConfigurationError
from promptwire.proxy.config import Config, read_config
from promptwire.proxy.hang_up import Watcher
from promptwire.proxy.metrics import Metrics
from promptwire.proxy.upstream import Upstream
from promptwire.resolver import Resolver


@dataclass(slots=True)
class Service:
    """A request takes ``config`` once, when it begins: a reload changes nothing under it."""

    config: Config
    path: str | os.PathLike[str] | None = None
    resolver: Resolver = field(default_factory=Resolver)
    metrics: Metrics = field(default_factory=Metrics)
    watcher: Watcher = field(default_factory=Watcher)
    draining: bool = False
    _upstream: Upstream | None = None
    _seen: tuple[int, int, int] | None = None

    def __post_init__(self) -> None:
        self._seen = self._state()

    @property
    def upstream(self) -> Upstream:
        """The connections to providers, made on the loop that serves."""
        if self._upstream is None:
            self._upstream = Upstream()
        return self._upstream

    async def close(self) -> None:
        """End them."""
        if self._upstream is not None:
            await self._upstream.close()

    def reload_if_changed(self) -> None:
        """Reload where the file is another one than at the last look."""
        state = self._state()
        if state is not None and state != self._seen:
            self.reload()

    def reload(self) -> None:
        """Take the file's new content; a broken one is logged, and nothing changes."""
        if self.path is None:
            return
        self._seen = self._state()
        try:
            self.config = read_config(self.path)
        except ConfigurationError as error:
            log.logger.error("the config is not reloaded, and the one before stays: %s", error)
            self.metrics.count_reload("kept")
            return
        for note in self.config.notes:
            log.logger.warning("%s", note)
        log.logger.warning("reloaded %s: %s", self.config.where, self.config.summary)
        self.metrics.count_reload("done")

    def _state(self) -> tuple[int, int, int] | None:
        if self.path is None:
            return None
        try:
            status = Path(self.path).stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino
