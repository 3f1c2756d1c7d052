"""Azure OpenAI: OpenAI's wire under a deployment's URL, or under the v1 path."""

from collections.abc import Mapping, Sequence
from urllib.parse import quote

from promptwire.errors import ConfigurationError
from promptwire.exchange import Request
from promptwire.gateway.openai import OpenAIWire
from promptwire.gateway.providers import Target

DEFAULT_VERSION = "2024-10-21"
"""The newest stable version of the data plane API that is dated; ``v1`` has no dates any more."""


class AzureWire(OpenAIWire):
    """``model`` is the deployment. ``api_version`` (``AZURE_API_VERSION``) is a date, or ``v1``, as is a base URL
    that ends in ``/openai/v1``.
    """  # noqa: D205

    def request(
        self, target: Target, messages: Sequence[object], params: Mapping[str, object], *, stream: bool
    ) -> Request:
        made = super().request(target, messages, params, stream=stream)
        headers = {"content-type": "application/json", "api-key": target.api_key or ""}
        return Request("POST", _url(target), headers, made.body)


def _url(target: Target) -> str:
    base = target.api_base.removesuffix("/openai/v1").removesuffix("/openai")
    version = target.api_version or DEFAULT_VERSION
    if version == "v1" or target.api_base.endswith("/openai/v1"):
        return f"{base}/openai/v1/chat/completions"
    if target.model in {".", ".."}:  # they survive quoting, and would lead to another address
        raise ConfigurationError(f"azure: {target.model!r} is no deployment's name")
    deployment = quote(target.model, safe="")
    return f"{base}/openai/deployments/{deployment}/chat/completions?api-version={quote(version, safe='')}"
