"""Counts of what this worker answered, and figures of what it serves, for Prometheus.

The counts are plain dictionaries of this process, collected on demand: one worker never waits for
another, and nothing is written to disk. Labels are bounded: route templates, never paths.
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
    """What one worker has answered since it started.

    Args:
        worker: Name of the worker, a label of every series.
    """

    def __init__(self, *, worker: str) -> None:
        self._worker = worker
        self._requests: dict[tuple[str, str, int], int] = {}
        self._durations: dict[str, _Durations] = {}
        self._bytes: dict[str, int] = {}

    def count(self, route: str, *, method: str, status: int, seconds: float, sent: int) -> None:
        """Add one answered request.

        Args:
            route: Template of the route, or ``unmatched``.
            method: HTTP method.
            status: HTTP status; 499 where the client left before an answer.
            seconds: Time from the request's head to the answer's last byte.
            sent: Bytes of the answer's body.
        """
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
    """One figure of the domain at this moment.

    Attributes:
        name: Name of the series, without the prefix ``ebbflow_``, with its unit.
        doc: What it is.
        label: Name of its one label; empty for none.
        values: Value by label value; the key is empty where there is no label.
    """

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
    """Return the whole exposition as Prometheus text.

    Args:
        traffic: This worker's counts.
        figures: What is served at this moment.
    """
    registry = CollectorRegistry()
    registry.register(traffic)
    registry.register(_Figures(figures))
    return generate_latest(registry)
