"""The hosts that run models, one row each; third parties add theirs as entry points of ``promptwire.providers``."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import entry_points

from promptwire.gateway.anthropic import parameters as anthropic_parameters

ENTRY_POINTS = "promptwire.providers"
DEFAULT_PROVIDER = "openai"

# What OpenAI's API alone takes: other hosts refuse it, or act as if it had not been said.
OPENAI_ONLY = frozenset({"metadata", "service_tier", "verbosity"})

OLDER_LIMIT = {"max_completion_tokens": "max_tokens"}


@dataclass(frozen=True, slots=True)
class Provider:
    """A host that runs models.

    ``{NAME}`` in ``base_url`` stands for that environment variable. ``owns`` are beginnings of model names that are
    unmistakably its own. An ``aggregator`` runs other vendors' models under names of its own, which may hold slashes.
    ``lacks`` are parameters that it doesn't take (``lacks_for`` says so by model), ``renames`` those that it has
    another name for. ``path`` completes a base URL that has none.
    """

    name: str
    base_url: str | None
    key_variable: str
    base_variable: str
    owns: tuple[str, ...] = ()
    aggregator: bool = False
    wire: str = "openai"
    lacks: frozenset[str] = frozenset()
    lacks_for: Callable[[str], frozenset[str]] | None = None
    renames: Mapping[str, str] = field(default_factory=dict)
    needs_key: bool = True
    path: str = ""

    def lacking(self, model: str | None) -> frozenset[str]:
        """The parameters that it doesn't take for a model."""
        return self.lacks | self.lacks_for(model) if self.lacks_for and model else self.lacks


PROVIDERS: dict[str, Provider] = {
    row.name: row
    for row in (
        Provider(
            "openai", "https://api.openai.com/v1", "OPENAI_API_KEY", "OPENAI_BASE_URL",
            owns=("gpt-", "o1", "o3", "o4", "ft:gpt-", "chatgpt-"),
        ),
        Provider(
            "anthropic", "https://api.anthropic.com", "ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL",
            owns=("claude-",), wire="anthropic", lacks=anthropic_parameters.LACKS, lacks_for=anthropic_parameters.lacks,
        ),
        Provider("azure", None, "AZURE_API_KEY", "AZURE_API_BASE", aggregator=True, wire="azure"),
        Provider(
            "bedrock", "https://bedrock-runtime.{AWS_REGION}.amazonaws.com/openai/v1",
            "AWS_BEARER_TOKEN_BEDROCK", "AWS_BEDROCK_BASE_URL", aggregator=True, lacks=OPENAI_ONLY | {"logit_bias"},
        ),
        Provider(
            "cohere", "https://api.cohere.ai/compatibility/v1", "COHERE_API_KEY", "COHERE_API_BASE",
            lacks=OPENAI_ONLY | {"logit_bias", "top_logprobs", "n", "parallel_tool_calls"}, renames=OLDER_LIMIT,
        ),
        Provider(
            "deepseek", "https://api.deepseek.com/v1", "DEEPSEEK_API_KEY", "DEEPSEEK_API_BASE",
            lacks=OPENAI_ONLY | {"logit_bias", "n", "seed", "parallel_tool_calls"}, renames=OLDER_LIMIT,
        ),
        Provider(
            "fireworks", "https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY", "FIREWORKS_API_BASE",
            aggregator=True, lacks=OPENAI_ONLY | {"parallel_tool_calls"},
        ),
        Provider(
            "gemini", "https://generativelanguage.googleapis.com/v1beta/openai", "GEMINI_API_KEY", "GEMINI_API_BASE",
            owns=("gemini-",), lacks=OPENAI_ONLY | {"logit_bias", "logprobs", "top_logprobs", "user"},
        ),
        Provider(
            "groq", "https://api.groq.com/openai/v1", "GROQ_API_KEY", "GROQ_API_BASE",
            aggregator=True, lacks=OPENAI_ONLY - {"service_tier"} | {"logit_bias", "logprobs", "top_logprobs", "n"},
        ),
        Provider(
            "lm_studio", "http://localhost:1234/v1", "LM_STUDIO_API_KEY", "LM_STUDIO_API_BASE",
            aggregator=True, needs_key=False, path="/v1",
            lacks=OPENAI_ONLY | {"n", "user", "logprobs", "top_logprobs"}, renames=OLDER_LIMIT,
        ),
        Provider(
            "mistral", "https://api.mistral.ai/v1", "MISTRAL_API_KEY", "MISTRAL_API_BASE",
            lacks=OPENAI_ONLY
            | {"logit_bias", "logprobs", "top_logprobs", "user", "stream_options"},
            renames={**OLDER_LIMIT, "seed": "random_seed"},
        ),
        Provider(
            "ollama", "http://localhost:11434/v1", "OLLAMA_API_KEY", "OLLAMA_API_BASE",
            aggregator=True, needs_key=False, path="/v1",
            lacks=OPENAI_ONLY | {"logit_bias", "n", "user", "parallel_tool_calls"}, renames=OLDER_LIMIT,
        ),
        Provider(
            "openrouter", "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY", "OPENROUTER_API_BASE", aggregator=True,
        ),
        Provider(
            "together", "https://api.together.xyz/v1", "TOGETHER_API_KEY", "TOGETHER_API_BASE",
            aggregator=True, lacks=OPENAI_ONLY | {"parallel_tool_calls"}, renames=OLDER_LIMIT,
        ),
        Provider(
            "vllm", "http://localhost:8000/v1", "VLLM_API_KEY", "VLLM_API_BASE",
            aggregator=True, needs_key=False, path="/v1", lacks=OPENAI_ONLY,
        ),
        Provider(
            "xai", "https://api.x.ai/v1", "XAI_API_KEY", "XAI_API_BASE", owns=("grok-",),
            lacks=OPENAI_ONLY | {"logit_bias"},
        ),
    )
}  # fmt: skip


@cache
def _registered() -> dict[str, Provider]:
    return {point.name: point.load() for point in entry_points(group=ENTRY_POINTS)}


def all_providers() -> dict[str, Provider]:
    """Every row by its name; a built-in one can't be replaced from outside."""
    return {**_registered(), **PROVIDERS}


def find_provider(name: str) -> Provider | None:
    """A row, if there is one of that name."""
    return PROVIDERS.get(name) or _registered().get(name)
