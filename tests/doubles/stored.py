"""Prompts of every shape that a store must give back as they were."""

from hypothesis import strategies as st

from promptwire import Placeholder, Prompt

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
MESSAGES = st.lists(
    st.builds(Placeholder, st.text(min_size=1))
    | st.fixed_dictionaries({"role": st.sampled_from(["system", "user", "assistant"]), "content": st.text()})
    | st.fixed_dictionaries({"role": st.just("tool"), "content": st.text(), "extra": JSON}),
    min_size=1,
    max_size=4,
)
PROMPTS = st.builds(
    lambda body, **fields: Prompt("p", **body, **fields),
    st.builds(lambda text: {"text": text}, st.text()) | st.builds(lambda items: {"messages": items}, MESSAGES),
    backend=st.sampled_from(["langfuse", "files"]),
    version=st.none() | st.integers(1, 2**31 - 1) | st.text(min_size=1),
    labels=st.lists(st.text()),
    tags=st.lists(st.text()),
    config=st.dictionaries(st.text().map(lambda name: f"x{name}"), JSON, max_size=3),
    partials=st.dictionaries(st.text(), JSON, max_size=3),
)
