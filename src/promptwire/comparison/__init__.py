"""Versions, labels or models of prompts, compared over a small data set."""

from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any, Unpack

from promptwire.comparison.cases import read_cases
from promptwire.comparison.columns import acolumns
from promptwire.comparison.result import Comparison
from promptwire.comparison.running import Runner
from promptwire.comparison.scorers import Scorer, find_scorer
from promptwire.default import default_resolver
from promptwire.errors import ConfigurationError
from promptwire.gateway.ask import check_names
from promptwire.gateway.parameters import CompletionOptions
from promptwire.jobs import Job


class CompareOptions(CompletionOptions, total=False):
    """``compare()``'s keywords, and ``completion()``'s."""

    cases: Any
    models: Sequence[str] | None
    scorer: Scorer | None
    prices: Mapping[str, tuple[float, float]]
    concurrency: int
    progress: bool | None
    cache: MutableMapping[bytes, Any] | None


async def acompare(*subjects: Any, **options: Unpack[CompareOptions]) -> Comparison:
    """Run every subject, on every model, with every case.

    Subjects are references (``"support/reply@3"``, ``"langfuse:support/reply@candidate"``) or prompts; the last one
    may be the ``cases``: a list of variables, a DataFrame, or the path of a JSON Lines file. ``models`` are model
    strings that beat the prompts' own. ``scorer`` is a function of an answer's text and its case, a JSON schema that
    the answer must match, or ``"exact"``, ``"regex"`` or ``"json_schema"`` for the case's ``expected``. ``prices``
    are dollars per million tokens, in and out, by model. ``concurrency`` (8) calls run at once; ``progress`` shows a
    bar, by default where somebody looks. The other options are ``completion()``'s.

    What a request answered is kept in ``cache``, by default the resolver's own, so that comparing again costs only
    what changed; whoever shares it is answered from it. It knows a request by its address and body, and neither by its
    key nor by ``extra_headers``: give those who may not see each other's answers a ``cache={}`` of their own, and what
    tries a new key, too. An answer that fails is an error in its cell. Raises ``PromptwireError`` for a subject that
    can't be had and for unusable cases.
    """
    runner = await _prepare(subjects, options)
    await runner.run()
    return runner.result()


def compare(*subjects: Any, **options: Unpack[CompareOptions]) -> Comparison:
    """``acompare`` without a loop of one's own, in a notebook too; interrupted, it answers what is done so far."""
    made: list[Runner] = []

    async def work() -> None:
        made.append(await _prepare(subjects, options))
        await made[0].run()

    job = Job(work, "promptwire-compare")
    try:
        job.result()
    except KeyboardInterrupt:
        job.stop()
        job.wait()
        if not made:
            raise
    return made[0].result()


async def _prepare(subjects: tuple[Any, ...], options: CompareOptions) -> Runner:
    rest: dict[str, Any] = dict(options)
    check_names(rest.keys() - CompareOptions.__annotations__.keys(), "compare()", CompareOptions)
    given, cases = list(subjects), rest.pop("cases", None)
    if cases is None and len(given) > 1:
        cases = given.pop()
    if not given or cases is None:
        raise ConfigurationError("compare() takes prompts and, last, the cases: compare('a@1', 'a@2', cases)")
    resolver = rest["resolver"] = rest.get("resolver") or default_resolver()
    columns, rows = await acolumns(given, rest.pop("models", None), resolver), read_cases(cases)
    score, kept = find_scorer(rest.pop("scorer", None), rows), rest.pop("cache", None)
    return Runner(columns, rows, score, resolver.answers if kept is None else kept, rest)
