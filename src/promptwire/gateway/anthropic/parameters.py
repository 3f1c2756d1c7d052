"""Which of OpenAI's parameters Anthropic's API has nothing for, and what differs by model."""

import re

LACKS = frozenset(
    {
        "audio", "frequency_penalty", "function_call", "functions", "logit_bias", "logprobs", "metadata", "modalities",
        "moderation", "n", "prediction", "presence_penalty", "prompt_cache_key", "prompt_cache_options",
        "prompt_cache_retention", "seed", "store", "top_logprobs", "verbosity", "web_search_options",
    }
)  # fmt: skip
"""OpenAI's parameters for which Anthropic's API has nothing."""

# Claude before 4.6, a closed list.
_EARLY = re.compile(r"claude-(?:instant|[123]\b|(?:opus|sonnet|haiku)-4(?:-[0-5](?!\d)|[-@]20\d{6}|(?!-?\d)))")


def thinks_at_an_effort(model: str) -> bool:
    """Claude since 4.6; before, and with other vendors' models on this wire, thinking has a budget of tokens."""
    return "claude-" in model and not _EARLY.search(model)


def lacks(model: str) -> frozenset[str]:
    """``LACKS``, and for Claude since 4.7, which samples as it will, temperature and top_p."""
    return LACKS | {"temperature", "top_p"} if thinks_at_an_effort(model) and "-4-6" not in model else LACKS
