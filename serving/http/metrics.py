"""Counts of what this worker answered, and figures of what it serves, for Prometheus.

The counts are dictionaries of this process. Labels are bounded: route templates, never paths.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Upper bounds of the duration buckets, seconds."""


@dataclass
class _Durations:
    buckets: list[int] = field(default_factory=lambda: [0] * (len(SECONDS) + 1))
    total: float = 0.0


class Traffic(Collector):
    """What one worker has answered since it started."""

    def __init__(self, *, worker: str) -> None:
        self._worker = worker
        self._requests: dict[tuple[str, str, int], int] = {}
        self._durations: dict[str, _Durations] = {}
        self._bytes: dict[str, int] = {}

    def count(self, route: str, *, method: str, status: int, seconds: float, sent: int) -> None:
        """Add one request: its route's template, the time to and the bytes of its answer."""
        key = (route, method, status)
        self._requests[key] = self._requests.get(key, 0) + 1
        durations = self._durations.get(route)
        if durations is None:
            durations = self._durations[route] = _Durations()
        durations.buckets[bisect_left(SECONDS, seconds)] += 1
        durations.total += seconds
        self._bytes[route] = self._bytes.get(route, 0) + sent

    def collect(self) -> Iterator[Metric]:
        """Give the series in Prometheus' own types."""
        requests = CounterMetricFamily(
            "ebbflow_http_requests",
            "Requests answered, by route template, method and status.",
            labels=("route", "method", "status", "worker"),
        )
        for (route, method, status), value in self._requests.items():
            requests.add_metric((route, method, str(status), self._worker), value)
        seconds = HistogramMetricFamily(
            "ebbflow_http_request_seconds",
            "Time to the last byte of the answer, seconds.",
            labels=("route", "worker"),
        )
        for route, durations in self._durations.items():
            reached = 0
            buckets = []
            for bound, number in zip((*SECONDS, "+Inf"), durations.buckets, strict=True):
                reached += number
                buckets.append((str(bound), float(reached)))
            seconds.add_metric((route, self._worker), buckets, durations.total)
        sent = CounterMetricFamily(
            "ebbflow_http_response_bytes",
            "Bytes of answers' bodies, by route template.",
            labels=("route", "worker"),
        )
        for route, value in self._bytes.items():
            sent.add_metric((route, self._worker), value)
        yield from (requests, seconds, sent)


@dataclass(frozen=True)
class Figure:
    """One gauge, named without ``ebbflow_``; without a label its name and key are empty."""

    name: str
    doc: str
    label: str
    values: dict[str, float]


class _Figures(Collector):
    def __init__(self, figures: list[Figure]) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        for figure in self._figures:
            labels = (figure.label,) if figure.label else ()
            family = GaugeMetricFamily(f"ebbflow_{figure.name}", figure.doc, labels=labels)
            for key, value in figure.values.items():
                family.add_metric((key,) if figure.label else (), value)
            yield family


def render(traffic: Traffic, figures: list[Figure]) -> bytes:
    """Return the whole exposition as Prometheus text."""
    registry = CollectorRegistry()
    registry.register(traffic)
    registry.register(_Figures(figures))
    return generate_latest(registry)
