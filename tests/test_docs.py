"""The pages that state what the code holds."""

from pathlib import Path

from promptwire.gateway.hosts import PROVIDERS, Provider

PAGE = Path(__file__).parents[1] / "docs" / "providers.md"
HEAD = "| provider | base URL | key | base URL's variable | lacks |\n|---|---|---|---|---|\n"


def row(provider: Provider) -> str:
    lacks = ", ".join(f"`{name}`" for name in sorted(provider.lacks)) or "none"
    key = f"`{provider.key_variable}`" if provider.needs_key else f"`{provider.key_variable}`, if it wants one"
    return f"| `{provider.name}` | {provider.base_url or 'none'} | {key} | `{provider.base_variable}` | {lacks} |"


def test_the_providers_page_holds_the_table() -> None:
    table = HEAD + "\n".join(row(provider) for provider in PROVIDERS.values())
    assert table in PAGE.read_text(), f"docs/providers.md needs this table:\n{table}"
