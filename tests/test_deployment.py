"""The deployment that docs/deployment.md describes: what its files name is there, and agrees."""

import re
from pathlib import Path
from typing import Any

import yaml

from tests.doubles.redis_server import RIGHTS

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
PAGE = (ROOT / "docs" / "deployment.md").read_text("utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load((EXAMPLES / "compose.yaml").read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]


def test_each_service_is_built_from_a_file_or_is_an_image_with_a_version() -> None:
    for service in SERVICES.values():
        if build := service.get("build"):
            context = (EXAMPLES / build["context"]).resolve()
            assert context == ROOT
            assert (context / build["dockerfile"]).is_file()
        else:
            assert re.fullmatch(r"[a-z]+:\d[\w.]*", service["image"])


def test_what_is_mounted_and_depended_on_exists() -> None:
    for service in SERVICES.values():
        for volume in service.get("volumes", ()):
            assert (EXAMPLES / volume.split(":")[0]).is_file()
        for name, wanted in service.get("depends_on", {}).items():
            assert wanted == {"condition": "service_healthy"}
            assert "healthcheck" in SERVICES[name]


def test_the_proxies_share_the_redis_of_the_file_and_hold_no_key() -> None:
    proxy = SERVICES["proxy"]
    host = proxy["environment"]["PROMPTWIRE_STORE"].removeprefix("redis://").partition(":")[0]
    assert host in SERVICES
    assert proxy["deploy"]["replicas"] > 1
    assert "ports" not in SERVICES["redis"]
    for name, value in proxy["environment"].items():
        assert value == f"${{{name}:?}}" or name == "PROMPTWIRE_STORE"
    config = proxy["command"][proxy["command"].index("--config") + 1]
    assert any(volume.split(":")[1] == config for volume in proxy["volumes"])


def test_the_page_has_its_reader_set_what_the_file_asks_for() -> None:
    asked = {name for name, value in SERVICES["proxy"]["environment"].items() if value.endswith(":?}")}
    block = re.search(r"((?:^export .*\n)+)docker compose", PAGE, re.MULTILINE)
    assert block
    assert set(re.findall(r"(\w+)=", block[1])) == asked


def test_the_rights_that_the_page_gives_to_a_user_of_redis_are_those_that_were_tried() -> None:
    given = re.search(r"-@all ((?:\+\w+\s*)+)`", PAGE)
    assert given
    assert given[1].replace("+", "").split() == RIGHTS.split()


def test_the_environment_that_the_config_names_is_given() -> None:
    named = re.findall(r"os.environ/(\w+)", (EXAMPLES / "proxy.yaml").read_text("utf-8"))
    assert named
    assert set(named) <= set(SERVICES["proxy"]["environment"])


def test_what_the_image_copies_and_installs_exists() -> None:
    dockerfile = (EXAMPLES / "Dockerfile").read_text("utf-8")
    allowed = (EXAMPLES / "Dockerfile.dockerignore").read_text("utf-8").split()
    for line in re.findall(r"^COPY (.*) \S+$", dockerfile, re.MULTILINE):
        for name in line.split():
            assert (ROOT / name).exists()
            assert f"!{name}" in allowed
    extras = re.search(r"\.\[(.*)\]", dockerfile)
    assert extras
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    assert all(re.search(rf"^{name} = \[", project, re.MULTILINE) for name in extras[1].split(","))


def test_the_balancer_sends_to_the_proxies_port() -> None:
    conf = (EXAMPLES / "nginx.conf").read_text("utf-8")
    assert "server proxy:4000 " in conf
    assert SERVICES["balancer"]["ports"][0].endswith(":4000")
    assert re.search(r"listen (\d+);", conf)[1] == "4000"  # type: ignore[index]


def test_the_page_links_to_each_file() -> None:
    for name in ("compose.yaml", "Dockerfile", "nginx.conf"):
        assert f"(../examples/{name})" in PAGE
