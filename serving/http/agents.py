"""Staffing answers: from a request and the published forecast to agents by interval."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from features.calendar import Float64, local_times, moment
from features.errors import InputError
from serving.http.answers import (
    AHT_DECIMALS,
    VOLUME_DECIMALS,
    envelope,
    interval_times,
    queue_head,
    rounded,
)
from serving.http.choice import Choice
from serving.http.schemas import StaffingRequest
from serving.sets.forecast import PublishedForecast
from serving.staffing import Goal, Staffing, staff

SHARE_DECIMALS = 4
SECONDS_DECIMALS = 1
HOURS_DECIMALS = 2


@dataclass(frozen=True)
class Staffed:
    """One queue staffed: what was asked of it, and the agents.

    Attributes:
        forecast: The queue's published forecast.
        rows: Its intervals that are staffed.
        goal: The service goal.
        patience_seconds: Mean time until a contact gives up; None with Erlang C.
        shrinkage: Share of paid time away from contacts.
        staffing: The agents, interval by interval.
    """

    forecast: PublishedForecast
    rows: slice
    goal: Goal
    patience_seconds: float | None
    shrinkage: float
    staffing: Staffing


def staffing_json(choice: Choice, *, request: StaffingRequest) -> bytes:
    """Return the JSON answer of a staffing request.

    Args:
        choice: The part of the published forecast that it asks for.
        request: The request, validated.

    Raises:
        InputError: A queue's patience is needed and not known, or a value is outside its range.
    """
    staffed = [staff_queue(queue, rows=rows, request=request) for queue, rows in choice.queues]
    return orjson.dumps(envelope(choice) | {"queues": [_queue(one) for one in staffed]})


def staff_queue(forecast: PublishedForecast, *, rows: slice, request: StaffingRequest) -> Staffed:
    """Return the agents that some intervals of a queue need.

    Args:
        forecast: The queue's published forecast.
        rows: Which of its intervals.
        request: The goal and how to reach it; its queues and span are not looked at.

    Raises:
        InputError: The patience is needed and not known, or a value is outside its range.
    """
    queue = forecast.queue
    share, seconds = request.goal.service_level, request.goal.threshold_seconds
    goal = Goal(
        share=queue.goal_share if share is None else share,
        seconds=queue.goal_seconds if seconds is None else seconds,
        max_occupancy=request.max_occupancy,
    )
    patience = _patience(forecast, request)
    return Staffed(
        forecast,
        rows,
        goal,
        patience,
        request.shrinkage,
        staff(
            forecast.mean[rows],
            aht_seconds=forecast.aht_seconds[rows],
            is_open=forecast.is_open[rows],
            interval_minutes=queue.interval_minutes,
            goal=goal,
            channel=queue.channel,
            patience_seconds=patience,
            concurrency=queue.concurrency,
            shrinkage=request.shrinkage,
        ),
    )


def _patience(forecast: PublishedForecast, request: StaffingRequest) -> float | None:
    """Return the patience to staff with; None asks for Erlang C."""
    if request.model == "erlang_c":
        return None
    known = request.patience_seconds or forecast.queue.patience_seconds
    if known is None and request.model == "erlang_a":
        raise InputError(
            f"`patience_seconds` of queue `{forecast.queue.queue}`",
            got="none in the request and none known of the queue",
            expected="seconds for `erlang_a`",
            remedy="send `patience_seconds`, or ask for `erlang_c`",
            field="patience_seconds",
        )
    return known


def _queue(one: Staffed) -> dict[str, Any]:
    head = queue_head(one.forecast)
    head["warnings"] = [*one.forecast.warnings, *one.staffing.warnings]
    return head | {
        "model": one.staffing.model.replace("-", "_"),
        "goal": {"service_level": one.goal.share, "threshold_seconds": one.goal.seconds},
        "patience_seconds": one.patience_seconds,
        "shrinkage": one.shrinkage,
        "max_occupancy": one.goal.max_occupancy,
        "intervals": _intervals(one),
        "days": staffed_days(one),
    }


def _intervals(one: Staffed) -> list[dict[str, Any]]:
    forecast, rows, staffing = one.forecast, one.rows, one.staffing
    times, expected = interval_times(forecast, rows), staffing.expected
    impatient = one.patience_seconds is not None
    columns: dict[str, list[Any]] = {
        "start": times.start,
        "end": times.end,
        "start_local": times.start_local,
        "end_local": times.end_local,
        "is_open": forecast.is_open[rows].tolist(),
        "volume": rounded(forecast.mean[rows], VOLUME_DECIMALS),
        "aht_seconds": rounded(forecast.aht_seconds[rows], AHT_DECIMALS),
        "agents_on_phone": staffing.agents_on_phone.tolist(),
        "agents_rostered": staffing.agents_rostered.tolist(),
        "service_level": rounded(expected.service_level, SHARE_DECIMALS),
        "asa_seconds": _finite(expected.asa_seconds, SECONDS_DECIMALS),
        "abandonment": (
            rounded(expected.abandonment, SHARE_DECIMALS)
            if impatient
            else [None] * len(times.start)
        ),
        "occupancy": rounded(expected.occupancy, SHARE_DECIMALS),
    }
    return [
        dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)
    ]


def _finite(values: Float64, decimals: int) -> list[float | None]:
    return [v if math.isfinite(v) else None for v in rounded(values, decimals)]


def staffed_days(one: Staffed) -> list[dict[str, Any]]:
    """Return the ``days`` of an answer: the intervals summed by the local day they begin in."""
    forecast, rows, staffing = one.forecast, one.rows, one.staffing
    days, place = np.unique(
        local_times(forecast.starts[rows], forecast.queue.time_zone).day, return_inverse=True
    )
    hours = forecast.queue.interval_minutes / 60
    on_phone = np.bincount(place, weights=staffing.agents_on_phone, minlength=len(days)) * hours
    rostered = np.bincount(place, weights=staffing.agents_rostered, minlength=len(days)) * hours
    contacts = np.bincount(place, weights=forecast.mean[rows], minlength=len(days))
    peaks = np.zeros(len(days), dtype=np.int64)
    np.maximum.at(peaks, place, staffing.agents_on_phone)
    return [
        {
            "date": f"{moment(day * 86_400):%Y-%m-%d}",
            "agent_hours_on_phone": on_phone_hours,
            "agent_hours_rostered": rostered_hours,
            "peak_agents_on_phone": peak,
            "contacts": total,
        }
        for day, on_phone_hours, rostered_hours, peak, total in zip(
            days.tolist(),
            rounded(on_phone, HOURS_DECIMALS),
            rounded(rostered, HOURS_DECIMALS),
            peaks.tolist(),
            rounded(contacts, VOLUME_DECIMALS),
            strict=True,
        )
    ]
