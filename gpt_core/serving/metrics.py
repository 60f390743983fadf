"""Metrics in Prometheus' format, under vLLM's names, so that its dashboards show this server."""

import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_LABELS = ("model_name",)
_FIRST = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_TOKEN = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_WHOLE = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)


class Metrics:
    """The metrics of one server, in a registry of its own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._running = self._gauge("vllm:num_requests_running", "Requests that have a slot.")
        self._waiting = self._gauge("vllm:num_requests_waiting", "Requests that wait for a slot.")
        self._prompt = self._counter("vllm:prompt_tokens", "Tokens of prompts.")
        self._generated = self._counter("vllm:generation_tokens", "Tokens that were generated.")
        self._finished = Counter(
            "vllm:request_success", "Requests that were answered, by the reason of their end.",
            (*_LABELS, "finished_reason"), registry=self._registry,
        )  # fmt: skip
        self._refused = Counter(
            "gptflow:requests_refused", "Requests that were answered with an error.",
            ("status",), registry=self._registry,
        )  # fmt: skip
        self._first = self._histogram(
            "vllm:time_to_first_token_seconds", "From the request to its first token.", _FIRST
        )
        self._between = self._histogram(
            "vllm:inter_token_latency_seconds", "Between two tokens of a request.", _TOKEN
        )
        self._queued = self._histogram(
            "vllm:request_queue_time_seconds", "From the request to its slot.", _FIRST
        )
        self._whole = self._histogram(
            "vllm:e2e_request_latency_seconds", "From the request to its last token.", _WHOLE
        )

    def watch(self, model: str, running: Callable[[], int], waiting: Callable[[], int]) -> None:
        """Read a model's gauges from these functions whenever they are asked for."""
        self._running.labels(model).set_function(running)
        self._waiting.labels(model).set_function(waiting)

    def refused(self, status: int) -> None:
        """Count a request that was answered with an error."""
        self._refused.labels(str(status)).inc()

    def clock(self, model: str, prompt_tokens: int) -> "RequestClock":
        """Begin to time a request."""
        return RequestClock(self, model, prompt_tokens)

    def render(self) -> bytes:
        """Every metric in Prometheus' text format."""
        return generate_latest(self._registry)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(name, text, _LABELS, registry=self._registry)

    def _counter(self, name: str, text: str) -> Counter:
        return Counter(name, text, _LABELS, registry=self._registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(name, text, _LABELS, registry=self._registry, buckets=buckets)

    def _end(self, clock: "RequestClock", queued: float | None) -> None:
        name = clock.model
        self._prompt.labels(name).inc(clock.prompt_tokens)
        self._whole.labels(name).observe(time.monotonic() - clock.started)
        if queued is not None:
            self._queued.labels(name).observe(queued)

    def _finish(self, clock: "RequestClock", reason: str) -> None:
        self._finished.labels(clock.model, reason).inc()


class RequestClock:
    """Times one request.

    Args:
        metrics: Where its times are added.
        model: The model's name.
        prompt_tokens: Tokens of its prompts.
    """

    def __init__(self, metrics: Metrics, model: str, prompt_tokens: int) -> None:
        self._metrics, self.model, self.prompt_tokens = metrics, model, prompt_tokens
        self.started = time.monotonic()
        # The metrics of every token: looking one up takes longer than adding to it.
        self._generated = metrics._generated.labels(model)
        self._first, self._between = metrics._first.labels(model), metrics._between.labels(model)
        self._last: dict[int, float] = {}

    def tokens(self, index: int, n: int) -> None:
        """Some tokens of one answer have arrived."""
        if not n:
            return
        now, last = time.monotonic(), self._last.get(index)
        self._generated.inc(n)
        if last is not None:
            self._between.observe((now - last) / n)
        elif not self._last:
            self._first.observe(now - self.started)
        self._last[index] = now

    def finish(self, reason: str) -> None:
        """One answer has ended."""
        self._metrics._finish(self, reason)

    def end(self, queued: float | None) -> None:
        """All answers have ended; they had waited so many seconds for a slot."""
        self._metrics._end(self, queued)
