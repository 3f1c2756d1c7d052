"""What a notebook waits for: the display of a prompt of 20 kB, and of what differs between two such."""

import random
from statistics import median

from benchmarks.harness import Report, interleave, timed
from promptwire import Prompt

SIZE = 20_000
WORDS = ("alpha", "beta", "{{name}}", "gamma", "of", "the", "{{other}}", "delta")


def prompts() -> tuple[Prompt, Prompt]:
    """Two texts of which every fiftieth word differs, with a variable in every fourth place."""
    draw = random.Random(1)  # noqa: S311 - words, no secrets
    words = draw.choices(WORDS, k=SIZE // 4)
    changed = ["changed" if at % 50 == 0 else word for at, word in enumerate(words)]
    before, after = (Prompt("long", text=" ".join(each)[:SIZE]) for each in (words, changed))
    return before, after


def main() -> None:
    report = Report.of_arguments("A notebook's displays", ["promptwire"])
    before, after = prompts()
    samples = interleave(
        {
            "prompt": timed(before._repr_mimebundle_, 5),
            "diff": timed(lambda: before.diff(after)._repr_mimebundle_(), 5),
        },
        report.rounds,
    )
    report.bound("a prompt of 20 kB", median(samples["prompt"]), 0.005, "s")
    report.bound("what differs between two", median(samples["diff"]), 0.050, "s")
    report.finish()


if __name__ == "__main__":
    main()
