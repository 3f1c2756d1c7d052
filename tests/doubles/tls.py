"""TLS on loopback: certificates that sign themselves, and a front that speaks TLS for a server that doesn't."""

import contextlib
import shutil
import socket
import ssl
import subprocess
import threading
from pathlib import Path

from promptwire.testing.listener import Listener

OPENSSL = shutil.which("openssl")


class Certificate:
    """For 127.0.0.1 and localhost; trusted by whoever takes ``file`` for an authority."""

    def __init__(self, folder: Path, name: str) -> None:
        assert OPENSSL
        self.file, self.key = folder / f"{name}.pem", folder / f"{name}.key"
        command = [
            OPENSSL, "req", "-x509", "-nodes", "-days", "2", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost",
            "-keyout", str(self.key), "-out", str(self.file),
        ]  # fmt: skip
        subprocess.run(command, check=True, capture_output=True)

    def server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.file, self.key)
        return context


class TlsFront:
    """Passes on what it deciphers to a port of loopback; started again, it keeps its own."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener: Listener | None = None
        self._open: set[socket.socket] = set()
        self.port = 0

    def start(self, certificate: Certificate) -> None:
        self.stop()
        context = certificate.server_context()

        def serve(connection: socket.socket, stopped: threading.Event) -> None:
            with (
                context.wrap_socket(connection, server_side=True) as secure,
                socket.create_connection(("127.0.0.1", self._target)) as plain,
            ):
                self._open.add(plain)
                back = threading.Thread(target=_pump, args=(plain, secure), daemon=True)
                back.start()
                _pump(secure, plain)
                back.join()
                self._open.discard(plain)

        self._listener = Listener(self.port, serve)
        self.port = self._listener.port

    def stop(self) -> None:
        for plain in list(self._open):  # the listener can't end what is wrapped
            with contextlib.suppress(OSError):
                plain.shutdown(socket.SHUT_RDWR)
        if self._listener is not None:
            self._listener.close()
            self._listener = None


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_RDWR)
