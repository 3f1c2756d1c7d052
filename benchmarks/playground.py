"""What a key press in the playground takes: in Chromium until it is laid out, and in the kernel until it answers."""

import random
import shutil
import time
from statistics import median

import promptwire
from benchmarks.displays import prompts
from benchmarks.harness import Report, interleave
from promptwire import Resolver
from promptwire.backends.memory import MemoryBackend
from tests.doubles.browser import chromium
from tests.doubles.kernel import Bridge, comms, deliver

_PRESS = """text => {
  const field = document.querySelector('textarea');
  field.value = text;
  const start = performance.now();
  field.dispatchEvent(new Event('input'));
  document.body.offsetHeight;
  return (performance.now() - start) / 1000;
}"""
_RECEIVE = """state => {
  const start = performance.now();
  model.receive(state);
  document.body.offsetHeight;
  return (performance.now() - start) / 1000;
}"""


def key(bridge: Bridge) -> tuple[float, float, float]:
    """Seconds until a key press is laid out, until the kernel has rendered it, and until that is laid out."""
    text = f"{random.random()}"  # noqa: S311 - any other one than before
    pressed: float = bridge.page.evaluate(_PRESS, text)
    (said,) = bridge.said()
    start = time.perf_counter()
    deliver(bridge.widget, said)
    rendered = time.perf_counter() - start
    return pressed, rendered, sum(bridge.page.evaluate(_RECEIVE, state) for state in bridge.widget.comm.updates())


def main() -> None:
    report = Report.of_arguments("A key press in the playground, in a prompt of 20 kB", ["promptwire", "anywidget"])
    if shutil.which("chromium") is None:
        report.notes.append("Chromium is not installed.")
        report.finish()
    with comms(), chromium() as browser:
        widget = promptwire.playground(prompts()[0], resolver=Resolver(MemoryBackend()))
        bridge = Bridge(browser.new_page(), widget)
        samples = interleave({"key": lambda: key(bridge)}, 5 * report.rounds)["key"]
    for name, seconds in zip(
        ("shown by the browser", "rendered by the kernel", "that shown"), zip(*samples, strict=True), strict=True
    ):
        report.bound(name, median(seconds), 0.016, "s")
    report.finish()


if __name__ == "__main__":
    main()
