"""Langfuse's webhook: a prompt has changed, so what is cached of its project is fetched anew."""

import hmac
import time
from hashlib import sha256

from starlette.types import Receive, Scope, Send

from promptwire.errors import ConfigurationError
from promptwire.proxy.body import HungUpError, read_bytes
from promptwire.proxy.refusals import JSON, RefusedError, refuse
from promptwire.proxy.relay import Reply
from promptwire.proxy.service import Service

WINDOW = 300
HEADER = b"x-langfuse-signature"


class Webhook:
    """The endpoint, as plain ASGI."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one delivery; Langfuse repeats it unless that is a 2xx."""
        reply = Reply(send)
        try:
            signature = next((value for name, value in scope["headers"] if name == HEADER), b"")
            dropped = self._drop(signature, await read_bytes(scope, receive))
            await reply.whole(200, b'{"dropped":%d}' % dropped, [JSON])
        except HungUpError:
            pass
        except RefusedError as refusal:
            await reply.refuse(refusal)

    def _drop(self, signature: bytes, body: bytes) -> int:
        """Drop the cached prompts of the projects whose secret signed this: a change can show in composed prompts."""
        config, resolver = self._service.config, self._service.resolver
        backends = config.table.backends("langfuse")
        secrets = {secret for _, secret in backends if secret} | ({config.webhook_secret} - {None})
        if not secrets:
            raise refuse(404, "no langfuse_webhook_secret is configured", "not_configured")
        signed = {secret for secret in secrets if secret and is_signed(signature, body, secret, time.time())}
        if not signed:
            raise refuse(401, "the signature is not right, or too old", "invalid_signature")
        mine = {
            backend.identity: backend for backend, secret in backends if (secret or config.webhook_secret) in signed
        }
        dropped = sum(resolver.invalidate(backend=backend) for backend in mine.values())
        if config.webhook_secret in signed:
            dropped += self._drop_unlisted(set(mine))
        return dropped

    def _drop_unlisted(self, done: set[object]) -> int:
        """Those of the environment's project, which requests reach as ``langfuse:<id>``."""
        try:
            backend = self._service.resolver.open_backend("langfuse")
        except ConfigurationError:
            return 0
        return 0 if backend.identity in done else self._service.resolver.invalidate(backend=backend)


def is_signed(header: bytes, body: bytes, secret: str, now: float) -> bool:
    """Whether ``t=<seconds>,v1=<hex>`` is the secret's signature of the body, made within five minutes of ``now``."""
    cut = [part.strip().partition(b"=") for part in header.split(b",")]
    parts = {name: value for name, _, value in cut}
    stamp, given = parts.get(b"t", b""), parts.get(b"v1", b"")
    if not (stamp.isdigit() and len(stamp) < 15 and abs(now - int(stamp)) <= WINDOW):
        return False
    wanted = hmac.new(secret.encode(), stamp + b"." + body, sha256).hexdigest().encode()
    return hmac.compare_digest(wanted, given)
