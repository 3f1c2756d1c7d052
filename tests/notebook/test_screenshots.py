"""The pictures that the README and the pages carry."""

from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "docs" / "screenshots"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["displays", "comparison", "playground"])
def test_every_picture_is_there_and_small(name: str, scheme: str) -> None:
    assert 10_000 < (FOLDER / f"{name}-{scheme}.png").stat().st_size < 150_000
