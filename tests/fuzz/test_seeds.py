"""The fuzzers' targets on their seeds, whole, cut and mixed, so that they don't rot; `make fuzz` goes further."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.targets import TARGETS

SEEDS = Path(__file__).parent / "seeds"


def seeds(name: str) -> list[bytes]:
    return [path.read_bytes() for path in sorted((SEEDS / name).iterdir())]


def cut(seed: bytes) -> Iterator[bytes]:
    yield seed
    for at in range(0, len(seed), 11):
        yield seed[:at] + seed[at + 3 :]
        yield seed[:at] + b"\xed\xa0\x80\x00" + seed[at:]


def test_every_target_has_seeds() -> None:
    assert {path.name for path in SEEDS.iterdir()} == set(TARGETS)


@pytest.mark.parametrize("name", TARGETS)
def test_the_seeds_break_no_promise(name: str) -> None:
    for seed in seeds(name):
        for data in cut(seed):
            TARGETS[name](data)


@pytest.mark.parametrize("name", TARGETS)
@given(data=st.binary(max_size=200))
def test_any_bytes_break_no_promise(name: str, data: bytes) -> None:
    TARGETS[name](data)
