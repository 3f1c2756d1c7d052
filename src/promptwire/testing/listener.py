"""A listening socket on loopback whose every connection ends when it is closed."""

import contextlib
import selectors
import socket
import threading
from collections.abc import Callable

_HOST = "127.0.0.1"
_BACKLOG = 1024
_JOIN_SECONDS = 5.0


class Listener:
    """Serves each connection on a thread of its own, from construction until ``close()``."""

    def __init__(self, port: int, serve: Callable[[socket.socket, threading.Event], None]) -> None:
        self.stopped = threading.Event()
        self._serve = serve
        self._lock = threading.Lock()
        self._open: dict[socket.socket, threading.Thread] = {}
        self._socket = _listen(port)
        self.port: int = self._socket.getsockname()[1]
        self._wake, self._waker = socket.socketpair()
        self._acceptor = threading.Thread(target=self._accept, name=f"promptwire-fake-{self.port}", daemon=True)
        self._acceptor.start()

    def close(self) -> None:
        """Refuse new connections and end the established ones, at once."""
        with self._waker:
            self._waker.send(b"!")  # closing it alone wakes nobody while a forked child holds a copy
            self.stopped.set()  # only now, since the acceptor that sees it hangs up on the waker
            self._acceptor.join(_JOIN_SECONDS)
        with self._lock:
            connections = dict(self._open)
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in connections.values():
            if thread is not threading.current_thread():
                thread.join(_JOIN_SECONDS)

    def _accept(self) -> None:
        with self._socket, self._wake, selectors.DefaultSelector() as selector:
            selector.register(self._socket, selectors.EVENT_READ)
            selector.register(self._wake, selectors.EVENT_READ)
            while not self.stopped.is_set():
                if any(key.fileobj is self._socket for key, _ in selector.select()):
                    with contextlib.suppress(OSError):  # the client left before it was its turn
                        self._admit(self._socket.accept()[0])
            # A forked child may hold a copy of the descriptor: closing ours alone would go on listening.
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def _admit(self, connection: socket.socket) -> None:
        thread = threading.Thread(target=self._run, args=(connection,), name="promptwire-fake-connection", daemon=True)
        with self._lock:
            self._open[connection] = thread
        thread.start()

    def _run(self, connection: socket.socket) -> None:
        try:
            with connection, contextlib.suppress(OSError):
                connection.setblocking(True)  # noqa: FBT003  the method's own signature
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._serve(connection, self.stopped)
        finally:
            with self._lock:
                self._open.pop(connection, None)


def _listen(port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((_HOST, port))
        listening.listen(_BACKLOG)
        listening.setblocking(False)  # noqa: FBT003  the method's own signature
    except OSError:
        listening.close()
        raise
    return listening
