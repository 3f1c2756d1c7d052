"""``completion()`` with a cached prompt, whole and streamed, beside a raw httpx client and LiteLLM."""

import httpx

import promptwire
from benchmarks.harness import Report, interleave, serving, timed
from benchmarks.peers import CALL, HEADERS, body, litellm


def measure(report: Report, url: str) -> None:
    client = httpx.Client()
    address, whole = f"{url}/chat/completions", body()
    streamed = body(stream=True, stream_options={"include_usage": True})
    calls, streams = (60, 15) if report.quick else (200, 40)

    def read_stream() -> None:
        with client.stream("POST", address, content=streamed, headers=HEADERS) as answer:
            for _ in answer.iter_bytes():
                pass

    def our_stream() -> None:
        for _ in promptwire.completion(**CALL, stream=True):
            pass

    subjects = {
        "httpx": timed(lambda: client.post(address, content=whole, headers=HEADERS).json(), calls),
        "ours": timed(lambda: promptwire.completion(**CALL), calls),
        "httpx stream": timed(read_stream, streams),
        "our stream": timed(our_stream, streams),
    }
    with litellm(report) as peer:
        if peer:
            subjects["litellm"] = peer.measure("sync", calls // 4)
            subjects["litellm stream"] = peer.measure("stream", streams // 8 or 1)
        samples = interleave(subjects, report.rounds)
    report.compare("completion() vs httpx POST", samples["ours"], samples["httpx"], at_most=1.25)
    report.compare("100 chunks vs httpx stream", samples["our stream"], samples["httpx stream"], at_most=2)
    if peer:
        report.compare("completion() vs LiteLLM", samples["ours"], samples["litellm"])
        report.compare("100 chunks vs LiteLLM", samples["our stream"], samples["litellm stream"])
        report.compare("LiteLLM vs httpx POST", samples["litellm"], samples["httpx"])


def main() -> None:
    report = Report.of_arguments("A model call with a cached prompt", ["promptwire", "httpx"])
    with serving() as server:
        measure(report, server.url)
    report.finish()


if __name__ == "__main__":
    main()
