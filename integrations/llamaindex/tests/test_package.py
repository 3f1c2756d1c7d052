"""What LlamaIndex and its hub expect of an integration's package."""

import tomllib
from pathlib import Path

import llama_index.llms.promptwire as package
from llama_index.core.base.llms.base import BaseLLM
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.prompts import BasePromptTemplate

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))


def test_class() -> None:
    """As LlamaIndex's own packages test it."""
    for kind in (package.Promptwire, package.PromptwireGateway):
        names = [base.__name__ for base in kind.__mro__]
        assert BaseLLM.__name__ in names
        assert FunctionCallingLLM.__name__ in names
        assert kind.class_name() == kind.__name__
    assert BasePromptTemplate in package.ManagedPromptTemplate.__mro__


def test_the_hub_knows_every_class() -> None:
    hub = PROJECT["tool"]["llamahub"]
    assert hub["import_path"] == package.__name__
    assert sorted(hub["class_authors"]) == [name for name in sorted(package.__all__) if not name.endswith("Event")]
    assert PROJECT["project"]["name"] == "llama-index-llms-" + package.__name__.rpartition(".")[2]
