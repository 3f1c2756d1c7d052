"""What LlamaIndex and its hub expect of an integration's package."""

import importlib
import tomllib
from importlib.metadata import distributions
from pathlib import Path
from zipfile import ZipFile

import llama_index.llms.promptwire as package
import pytest
from llama_index.core.base.llms.base import BaseLLM
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.prompts import BasePromptTemplate

ROOT = Path(__file__).parents[1]
OTHERS = any(distributions(name="llama-index-llms-anthropic"))  # as `make anthropic` has it
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


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


def test_the_wheel_holds_the_leaf_of_the_namespace_alone(tmp_path: Path) -> None:
    builders = pytest.importorskip("hatchling.builders.wheel")
    [wheel] = builders.WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    names = [name for name in ZipFile(wheel).namelist() if ".dist-info/" not in name]
    assert {name.rpartition("/")[0] for name in names} == {"llama_index/llms/promptwire"}
    assert {"llama_index/llms/promptwire/__init__.py", "llama_index/llms/promptwire/py.typed"} <= set(names)


@pytest.mark.skipif(not OTHERS, reason="for the environment that has them all")
@pytest.mark.filterwarnings("ignore")  # theirs
@pytest.mark.parametrize("name", ["anthropic", "langchain", "litellm"])
def test_no_other_llm_is_skipped_where_it_is_installed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests of one that doesn't import are passed over, which nothing else would tell."""
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    importlib.import_module(f"llama_index.llms.{name}")
