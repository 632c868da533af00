"""Examples of requests and answers, for the OpenAPI document and the docs page.

A test holds each against the model that describes it.
"""

from __future__ import annotations

from typing import Any

_SET = "20260302T040000Z-0a1b2c3d"
_BUNDLE = "20260301T020000Z-4e5f6a7b"
_SNAPSHOT = "20260302T035500Z-8c9d0e1f"
_AT = "2026-03-02T04:00:00Z"

_TIMES = {
    "start": "2026-03-02T08:00:00Z",
    "end": "2026-03-02T09:00:00Z",
    "start_local": "2026-03-02T09:00:00+01:00",
    "end_local": "2026-03-02T10:00:00+01:00",
    "is_open": True,
}
_ENVELOPE: dict[str, Any] = {
    "forecast_set": _SET,
    "base": None,
    "made_at": _AT,
    "as_of": _AT,
    "method": "combined",
    "what_if": False,
    "model_version": _BUNDLE,
    "snapshot": _SNAPSHOT,
    "start": "2026-03-02T08:00:00Z",
    "end": "2026-03-02T09:00:00Z",
    "warnings": [],
    "overrides": [],
}
_QUEUE = {
    "queue": "sales",
    "channel": "voice",
    "time_zone": "Europe/Berlin",
    "interval_minutes": 60,
    "method": "combined",
    "warnings": [],
}
_SCORES = {
    "score_set": _SET,
    "as_of": _AT,
    "model_version": _BUNDLE,
    "snapshot": _SNAPSHOT,
    "tiers": ["critical", "high", "medium", "low"],
    "stages": ["new", "active", "at_risk", "lapsed", "won_back", "prospect"],
    "segments": ["champion", "loyal", "regular"],
    "actions": ["no_contact", "call", "none"],
    "warnings": [],
}
_RECORD = {
    "customer_id": "C000017",
    "in_population": True,
    "probability": 0.712345,
    "percentile": 96.21,
    "tier": "high",
    "expected_value_minor": 24_000,
    "value_at_risk_minor": 41_000,
    "stage": "at_risk",
    "segment": "champion",
    "action": "call",
    "reasons": [
        {
            "code": "purchase_recency_days_above_own",
            "text": "no order for 74 days (usually every 31)",
            "text_zh": "已 74 天未下单（通常每 31 天一次）",
            "value": 74.0,
            "usual": 31.0,
        }
    ],
    "warnings": [],
    "as_of": _AT,
    "model_version": _BUNDLE,
    "score_set": _SET,
}
_LISTED = {
    "customer_id": "C000017",
    "place": 1,
    "probability": 0.712345,
    "value_at_risk_minor": None,
}
_GOAL = {"service_level": 0.8, "threshold_seconds": 20.0}

_TOTALS = {
    "start": "2026-03-01T23:00:00Z",
    "end": "2026-03-02T23:00:00Z",
    "total": {"mean": 512.3, "quantiles": {"0.1": 455.0, "0.9": 574.1}},
    "peak": {
        "start": "2026-03-02T09:00:00Z",
        "start_local": "2026-03-02T10:00:00+01:00",
        "mean": 61.0,
        "quantiles": {"0.1": 58.0, "0.9": 80.3},
    },
}

_OVERRIDE = {
    "override_id": "20260302T090000Z-00000001-00000",
    "queue": "sales",
    "start": "2026-03-04T09:00:00Z",
    "end": "2026-03-04T11:00:00Z",
    "volume": 180.0,
    "aht_seconds": 320.0,
    "model_volume": 121.4,
    "forecast_set": _SET,
    "made_by": "Ann",
    "made_at": "2026-03-02T09:00:00Z",
    "reason": "TV spot on Wednesday",
    "withdrawn": None,
    "in_force": True,
    "intervals": 2,
    "in_force_intervals": 2,
}
_STAFFED = {
    "contacts": 41.7,
    "agent_hours_on_phone": 6.0,
    "agent_hours_rostered": 9.0,
    "peak_agents_on_phone": 6,
    "peak_start": "2026-03-02T08:00:00Z",
    "service_level": 0.8726,
    "goal_probability": 0.87,
    "intervals_at_risk": 0,
    "abandoned_contacts": 2.248,
    "cost": 284.12,
}


def _effect(estimate: float, error: float, *, factor: int) -> dict[str, Any]:
    """Return an effect with its interval, in the same proportions as a real one."""
    ends = {"estimate": estimate, "low": estimate - 1.96 * error, "high": estimate + 1.96 * error}
    return {
        "per_customer": {name: round(value, 6) for name, value in ends.items()},
        "total": {name: round(value * factor, 2) for name, value in ends.items()},
        "standard_error": error,
    }


EXAMPLES: dict[str, Any] = {
    "overrides-request": {
        "made_by": "Ann",
        "reason": "TV spot on Wednesday",
        "overrides": [
            {
                "queue": "sales",
                "start": "2026-03-04T09:00:00Z",
                "end": "2026-03-04T11:00:00Z",
                "volume": 180,
                "aht_seconds": 320,
            }
        ],
    },
    "overrides-kept": {"forecast_set": _SET, "overrides": [_OVERRIDE], "left_out": 0},
    "overrides": {"overrides": [_OVERRIDE]},
    "override-withdraw": {"made_by": "Ann", "reason": "The spot fell out"},
    "override-withdrawn": _OVERRIDE
    | {
        "withdrawn": {
            "made_by": "Ann",
            "made_at": "2026-03-03T10:00:00Z",
            "reason": "The spot fell out",
        },
        "in_force": False,
        "in_force_intervals": 0,
    },
    "forecast-request": {
        "queues": ["sales"],
        "start": "2026-03-02T08:00:00Z",
        "end": "2026-03-02T09:00:00Z",
        "quantiles": [0.1, 0.5, 0.9],
    },
    "forecast": _ENVELOPE
    | {
        "queues": [
            _QUEUE
            | {
                "intervals": [
                    _TIMES
                    | {
                        "volume": {
                            "mean": 41.7,
                            "quantiles": {"0.1": 33.0, "0.5": 41.2, "0.9": 51.5},
                        },
                        "aht_seconds": 312.4,
                        "published": "model",
                    }
                ]
            }
        ],
    },
    "forecast-csv": "queue,start,end,start_local,end_local,is_open,volume_mean,volume_q0.5,"
    "aht_seconds,published,override_id,model_mean\r\nsales,2026-03-02T08:00:00Z,2026-03-02T09:00:00Z,2026-03-02T09:00:00+01:00,"
    "2026-03-02T10:00:00+01:00,true,41.7,41.2,312.4,model,,\r\n",
    "totals-request": {
        "queues": ["sales"],
        "start": "2026-03-02T00:00:00+01:00",
        "end": "2026-03-03T00:00:00+01:00",
        "by": "queue",
        "quantiles": [0.1, 0.9],
        "what_if": {"scale_volume": [{"factor": 1.1}]},
    },
    "totals": _ENVELOPE
    | {
        "start": "2026-03-01T23:00:00Z",
        "end": "2026-03-02T23:00:00Z",
        "what_if": True,
        "by": "queue",
        "paths": {"count": 200, "seed": 0},
        "groups": [
            {
                "group": "sales",
                "queues": ["sales"],
                "time_zone": "Europe/Berlin",
                "interval_minutes": 60,
                "method": "combined",
                "warnings": [],
                "span": _TOTALS,
                "days": [{"date": "2026-03-02"} | _TOTALS],
            }
        ],
    },
    "events": {
        "forecast_set": _SET,
        "events": [
            {
                "event_id": "promo-2026-03",
                "kind": "promotion",
                "starts_at": "2026-03-10T00:00:00Z",
                "ends_at": "2026-03-12T00:00:00Z",
                "known_at": "2026-02-20T09:00:00Z",
                "queues": ["sales"],
                "size": 0.2,
            }
        ],
    },
    "staffing-request": {
        "queues": ["sales"],
        "start": "2026-03-02T08:00:00Z",
        "end": "2026-03-02T09:00:00Z",
        "goal": {"service_level": 0.8, "threshold_seconds": 20},
        "patience_seconds": 180,
        "policy": {"kind": "probability", "probability": 0.8},
        "costs": {"agent_hour": 30, "abandoned_contact": 12, "currency": "EUR"},
        "shrinkage": 0.3,
    },
    "staffing": _ENVELOPE
    | {
        "policy": {"kind": "probability", "probability": 0.8, "least_agents": 0},
        "costs": {
            "agent_hour": 30.0,
            "abandoned_contact": 12.0,
            "missed_goal": 0.0,
            "currency": "EUR",
        },
        "paths": {"count": 200, "seed": 0},
        "queues": [
            _QUEUE
            | {
                "model": "erlang_a",
                "goal": _GOAL | {"asa_seconds": None, "abandonment": None, "max_occupancy": None},
                "patience_seconds": 180.0,
                "patience_source": "request",
                "efficiency": 1.0,
                "concurrency": 1,
                "slowdown": 0.0,
                "shrinkage": 0.3,
                "days": [{"date": "2026-03-02"} | _STAFFED],
                "total": _STAFFED,
            }
        ],
        "intervals": [
            {
                "id": "sales@2026-03-02T08:00:00Z",
                "queue_id": "sales",
                "channel": "voice",
                "start_time": "2026-03-02T08:00:00Z",
                "end_time": "2026-03-02T09:00:00Z",
                "interval_minutes": 60,
                "volume": 41.7,
                "aht_seconds": 312.4,
                "required_agents": 9,
                "start_local": "2026-03-02T09:00:00+01:00",
                "is_open": True,
                "agents_on_phone": 6,
                "agents_rostered": 9,
                "goal_probability": 0.875,
                "service_level": 0.8726,
                "service_level_low": 0.784,
                "service_level_high": 0.9486,
                "asa_seconds": 6.0,
                "occupancy": 0.5764,
                "abandonment": 0.0539,
                "abandoned_contacts": 2.248,
                "cost": 284.12,
                "backlog": 0.0,
                "one_more": {
                    "goal_probability": 0.105,
                    "service_level": 0.0642,
                    "abandoned_contacts": -1.197,
                    "cost": 28.5,
                },
                "one_fewer": {
                    "goal_probability": -0.455,
                    "service_level": -0.1068,
                    "abandoned_contacts": 2.211,
                    "cost": -16.33,
                },
                "published": "model",
                "override_id": None,
            }
        ],
    },
    "staffing-csv": "queue_id,channel,start_time,end_time,interval_minutes,volume,aht_seconds,"
    "agents_on_phone,agents_rostered\r\nsales,voice,2026-03-02T08:00:00Z,2026-03-02T09:00:00Z,60,"
    "41.7,312.4,6,9\r\n",
    "staffing-genesys": "gzipped JSON of one week: `planningGroups` with 15-minute arrays",
    "experiments": {
        "result_set": _SET,
        "experiments": [
            {
                "experiment": "winback-2026-03",
                "as_of": "2026-07-01T00:00:00Z",
                "decided": 9120,
                "advice": "go on",
            }
        ],
    },
    "experiment": {
        "result_set": _SET,
        "experiment": "winback-2026-03",
        "as_of": "2026-07-01T00:00:00Z",
        "horizon_days": 90,
        "actions": ["call"],
        "first_decided_at": "2026-03-02T09:00:00Z",
        "last_decided_at": "2026-04-20T09:00:00Z",
        "customers": {"decided": 9120, "complete": 8000, "waiting": 1120, "other_arm": 0},
        "arms": [
            {"arm": "treat", "customers": 7206, "retained": 0.6213, "value_minor": 18240.5},
            {"arm": "control", "customers": 794, "retained": 0.5894, "value_minor": 16902.1},
        ],
        "sample_ratio": {
            "treat": 7206,
            "control": 794,
            "expected_treat": 7200.0,
            "p_value": 0.823063,
            "alarm": False,
        },
        "retention": {
            "plain": _effect(0.0319, 0.0183, factor=7206),
            "adjusted": _effect(0.0287, 0.0164, factor=7206),
            "variance_removed": 0.1969,
        },
        "value_minor": {
            "plain": _effect(1338.4, 910.0, factor=7206),
            "adjusted": _effect(1190.2, 700.0, factor=7206),
            "variance_removed": 0.4083,
        },
        "adjusted_for": ["churn_probability", "spend_minor_90d"],
        "advice": {
            "word": "go on",
            "reason": "at all looks together retention changed by -2.4 to +8.1 points, about "
            "160,000 more customers would show 1 points",
            "least_effect": 0.01,
            "low": -0.0236,
            "high": 0.081,
            "information_share": 0.0475,
        },
        "uplift": {
            "curve": [
                {
                    "share": 0.2,
                    "uplift": {"estimate": 0.0132, "low": 0.0035, "high": 0.0228},
                    "risk": {"estimate": 0.0061, "low": -0.0034, "high": 0.0155},
                    "random": 0.0057,
                }
            ],
            "coefficient": {
                "uplift": {"estimate": 0.0046, "low": 0.0004, "high": 0.0088},
                "risk": {"estimate": 0.0002, "low": -0.0041, "high": 0.0043},
                "difference": {"estimate": 0.0044, "low": -0.0008, "high": 0.0097},
            },
            "better_by": None,
        },
        "no_uplift": None,
        "warnings": [],
    },
    "list-request": {
        "experiment": "winback-2026-03",
        "capacity": 500,
        "action": "call",
        "filters": {"tier": ["high"]},
        "rank_by": "probability",
        "hold_out": 0.1,
        "made_by": "Ann",
        "reason": "Win back before Easter",
    },
    "list": {
        "list_id": "20260302T090000Z-00000001",
        "experiment": "winback-2026-03",
        "action": "call",
        "hold_out": 0.1,
        "made_by": "Ann",
        "made_at": "2026-03-02T09:00:00Z",
        "reason": "Win back before Easter",
        "capacity": 500,
        "rank_by": "probability",
        "filters": {"tier": ["high"]},
        "again": False,
        "score_set": _SET,
        "as_of": _AT,
        "model_version": _BUNDLE,
        "counts": {
            "candidates": 2,
            "without_consent": 0,
            "in_experiment": 0,
            "contact": 1,
            "held_out": 1,
        },
        "warnings": ["1 of 500 to contact: the filters leave no more"],
        "contact": [_LISTED],
        "held_out": [_LISTED | {"customer_id": "C000042", "place": 2, "probability": 0.704418}],
    },
    "list-csv": "customer_id,arm,action,place,probability,value_at_risk_minor\r\n"
    "C000017,treat,call,1,0.712345,\r\n",
    "queues": {
        "forecast_set": _SET,
        "queues": [
            {
                "queue": "sales",
                "name": "Sales line",
                "channel": "voice",
                "time_zone": "Europe/Berlin",
                "interval_minutes": 60,
                "opening": {"mon": "08:00-18:00", "sun": "closed"},
                "opening_source": "stated",
                "goal": _GOAL,
                "patience_seconds": 180.0,
                "method": "combined",
                "start": _AT,
                "end": "2026-03-30T04:00:00Z",
                "warnings": [],
            }
        ],
    },
    "scores-request": {"customer_ids": ["C000017", "C999999"]},
    "scores": _SCORES | {"scores": [_RECORD], "unknown": ["C999999"]},
    "scores-line": _RECORD,
    "scores-page": _SCORES | {"customers": 100_000, "next": "C000017", "scores": [_RECORD]},
    "scores-csv": "customer_id,probability,tier,action,reason_1_text\r\n"
    "C000017,0.712345,high,call,no order for 74 days (usually every 31)\r\n",
    "scores-parquet": "a Parquet file with the columns of the CSV",
    "models": {
        "models": [
            {
                "model": "volume",
                "version": _BUNDLE,
                "created_at": "2026-03-01T02:00:00Z",
                "card": {"training_start": "2024-03-01T00:00:00Z", "metrics": {"wape": 0.14}},
                "serves": _SET,
            }
        ]
    },
    "readiness": {
        "ready": True,
        "version": "0.1.0",
        "refreshed_seconds_ago": 0.8,
        "parts": [
            {
                "part": "forecast",
                "id": _SET,
                "as_of": _AT,
                "age_seconds": 5400.0,
                "remedy": None,
                "refused": None,
            }
        ],
        "overrides": {"known": 12, "trouble": None},
    },
    "metrics": "# TYPE ebbflow_ready gauge\nebbflow_ready 1.0\n",
}
