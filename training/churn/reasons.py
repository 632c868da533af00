"""What each group of customer features says as a reason, in English and Chinese.

The book goes into the bundle, so serving knows nothing of how features are made. A feature that
no group here claims is told by its own sentence from ``features.customers``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from features.calendar import Float64
from features.customers import FEATURES
from features.formulas import Feature
from serving.models.churn.reasons import Phrase, ReasonBook, Unit, When


@dataclass(frozen=True)
class _Say:
    """A phrase before the data: see ``serving.models.churn.reasons.Phrase``."""

    feature: str
    when: When
    unit: Unit
    en: str
    zh: str
    own: str | None = None
    en_without_own: str | None = None
    zh_without_own: str | None = None


_USUAL_EN, _USUAL_ZH = "(customers usually: {usual})", "（客户通常为 {usual}）"
_LAST_ORDER_EN = f"last order {{value}} days ago {_USUAL_EN}"
_LAST_ORDER_ZH = f"上次下单在 {{value}} 天前{_USUAL_ZH}"


def _say(feature: str, when: When, unit: Unit, en: str, zh: str) -> _Say:
    """Return a phrase that tells the value beside the usual one of all customers."""
    return _Say(feature, when, unit, f"{en} {_USUAL_EN}", f"{zh}{_USUAL_ZH}")


_GROUPS: Mapping[str, tuple[str, tuple[_Say, ...]]] = {
    "silence": (
        r"purchase_recency_days|recency_over_gap|btyd_alive|silence_.*",
        (
            _Say(
                "purchase_recency_days",
                "above",
                "days",
                "no order for {value} days (usually every {usual})",
                "已 {value} 天未下单（通常每 {usual} 天一次）",
                "gap_days_mean",
                _LAST_ORDER_EN,
                _LAST_ORDER_ZH,
            ),
            _Say("purchase_recency_days", "above", "days", _LAST_ORDER_EN, _LAST_ORDER_ZH),
        ),
    ),
    "few_purchases": (
        r"purchases_.*|purchase_days_ever|btyd_purchases",
        tuple(
            _say(
                f"purchases_{days}d",
                "below",
                "count",
                f"orders in the last {days} days: {{value}}",
                f"最近 {days} 天下单 {{value}} 次",
            )
            for days in (365, 180, 90, 30)
        ),
    ),
    "slow_rhythm": (
        r"gap_days_.*",
        (
            _Say(
                "gap_days_mean",
                "missing",
                "days",
                "orders on one day only, so no rhythm is known",
                "只在一天下过单，尚无购买规律",
            ),
            _say(
                "gap_days_mean",
                "above",
                "days",
                "days between orders: {value}",
                "两次下单平均相隔 {value} 天",
            ),
            _say(
                "gap_days_std",
                "above",
                "days",
                "irregular orders, gaps vary by {value} days",
                "下单不规律，间隔波动 {value} 天",
            ),
        ),
    ),
    "falling_trend": (
        r"purchase_trend|spend_trend",
        (
            _say(
                "purchase_trend",
                "below",
                "share",
                "pace of orders in 90 days against the year: {value}",
                "近 90 天下单频率为全年的 {value}",
            ),
            _say(
                "spend_trend",
                "below",
                "share",
                "spending in 90 days against the year: {value}",
                "近 90 天消费为全年水平的 {value}",
            ),
        ),
    ),
    "low_spend": (
        r"spend_minor_.*|order_minor_.*|order_items_.*",
        (
            _say(
                "spend_minor_365d",
                "below",
                "minor",
                "spent in the last 365 days: {value}",
                "最近 365 天消费 {value}",
            ),
            _say(
                "spend_minor_90d",
                "below",
                "minor",
                "spent in the last 90 days: {value}",
                "最近 90 天消费 {value}",
            ),
            _say(
                "order_minor_365d", "below", "minor", "small orders: {value} each",
                "单笔金额较小：{value}",
            ),
        ),
    ),
    "short_tenure": (
        r"purchase_first_days|tenure_days",
        (
            _say(
                "purchase_first_days",
                "below",
                "days",
                "new customer, first order {value} days ago",
                "新客户，首次下单在 {value} 天前",
            ),
        ),
    ),
    "returns": (
        r"returns_.*|returned_.*",
        (
            _say("returns_90d", "above", "count", "returns in the last 90 days: {value}",
                 "最近 90 天退货 {value} 次"),
            _say("returns_365d", "above", "count", "returns in the last 365 days: {value}",
                 "最近 365 天退货 {value} 次"),
        ),
    ),
    "cancellations": (
        r"cancellations_.*",
        (
            _say("cancellations_365d", "above", "count",
                 "cancellations in the last 365 days: {value}", "最近 365 天取消 {value} 次"),
        ),
    ),
    "late_delivery": (
        r"ship_hours_.*|unshipped_.*",
        (
            _say("unshipped_30d", "above", "count", "orders not shipped yet: {value}",
                 "尚未发货的订单：{value}"),
            _say("ship_hours_90d", "above", "count", "hours until an order ships: {value}",
                 "订单发货需 {value} 小时"),
            _say("ship_hours_365d", "above", "count", "hours until an order ships: {value}",
                 "订单发货需 {value} 小时"),
        ),
    ),
    "unresolved": (
        r"unresolved_.*|contacts_repeated_.*|transferred_.*",
        (
            _say("contacts_repeated_90d", "above", "count",
                 "contacts again within 7 days, in the last 90 days: {value}",
                 "最近 90 天内 7 天重复联系 {value} 次"),
            _say("unresolved_90d", "above", "count",
                 "unresolved contacts in the last 90 days: {value}",
                 "最近 90 天未解决的联系 {value} 次"),
            _say("unresolved_365d", "above", "count",
                 "unresolved contacts in the last 365 days: {value}",
                 "最近 365 天未解决的联系 {value} 次"),
            _say("transferred_90d", "above", "count",
                 "contacts handed on in the last 90 days: {value}",
                 "最近 90 天被转接 {value} 次"),
        ),
    ),
    "long_waits": (
        r"wait_seconds_.*|abandoned_.*",
        (
            _say("abandoned_90d", "above", "count",
                 "contacts given up in the last 90 days: {value}",
                 "最近 90 天放弃等待 {value} 次"),
            _say("wait_seconds_90d", "above", "seconds",
                 "mean wait in the last 90 days: {value} seconds",
                 "最近 90 天平均等待 {value} 秒"),
            _say("wait_seconds_365d", "above", "seconds",
                 "mean wait in the last 365 days: {value} seconds",
                 "最近 365 天平均等待 {value} 秒"),
        ),
    ),
    "dissatisfied": (
        r"csat_.*|sentiment_.*",
        (
            _say("csat_last", "below", "score", "last satisfaction: {value} of 5",
                 "最近一次满意度：{value}（满分 5）"),
            _say("csat_365d", "below", "score", "mean satisfaction: {value} of 5",
                 "平均满意度：{value}（满分 5）"),
            _say("sentiment_90d", "below", "score",
                 "sentiment of the last 90 days, -1 to 1: {value}",
                 "最近 90 天情绪（-1 至 1）：{value}"),
        ),
    ),
    "asked_not_bought": (
        r"asked_not_bought_.*|contact_after_purchase",
        (
            _say("asked_not_bought_90d", "above", "count",
                 "contacts in 90 days without an order: {value}",
                 "最近 90 天联系 {value} 次但未下单"),
            _say("asked_not_bought_30d", "above", "count",
                 "contacts in 30 days without an order: {value}",
                 "最近 30 天联系 {value} 次但未下单"),
        ),
    ),
    "contacts": (
        r"contacts_.*|contact_.*",
        (
            _say("contacts_30d", "above", "count", "contacts in the last 30 days: {value}",
                 "最近 30 天联系 {value} 次"),
            _say("contacts_90d", "above", "count", "contacts in the last 90 days: {value}",
                 "最近 90 天联系 {value} 次"),
            _say("contacts_365d", "above", "count", "contacts in the last 365 days: {value}",
                 "最近 365 天联系 {value} 次"),
            _say("contacts_365d", "below", "count", "contacts in the last 365 days: {value}",
                 "最近 365 天联系 {value} 次"),
        ),
    ),
}  # fmt: skip
"""By group: which features are of it (the first group that claims one has it), and its phrases."""

_UNITS: Mapping[str, Unit] = {
    "days": "days",
    "count": "count",
    "minor units": "minor",
    "seconds": "seconds",
}


def reason_book(names: Sequence[str], reference: Float64) -> ReasonBook:
    """Return the reasons that a model over some features can give.

    Args:
        names: Feature names.
        reference: float64[n, k] of the customers whose median is the usual value.
    """
    known = {feature.name: feature for feature in FEATURES}
    usual = _medians(names, reference)
    groups: list[str] = []
    members: dict[str, int] = {}
    said: dict[str, tuple[_Say, ...]] = {}
    for name in names:
        group, phrases = _claimed(name, known.get(name))
        if group not in said:
            groups.append(group)
            said[group] = phrases
        members[name] = groups.index(group)
    return ReasonBook(
        groups=tuple(groups),
        members=members,
        phrases=tuple(
            _phrase(say, group=index, usual=usual)
            for index, group in enumerate(groups)
            for say in said[group]
            if say.feature in members and (say.own is None or say.own in members)
        ),
    )


def _medians(names: Sequence[str], reference: Float64) -> dict[str, float]:
    """Return the median of each feature that anybody has."""
    columns = {name: reference[:, j] for j, name in enumerate(names)}
    return {
        name: float(np.nanmedian(column))
        for name, column in columns.items()
        if not np.isnan(column).all()
    }


def _claimed(name: str, feature: Feature | None) -> tuple[str, tuple[_Say, ...]]:
    for group, (pattern, phrases) in _GROUPS.items():
        if re.fullmatch(pattern, name):
            return group, phrases
    unit = _UNITS.get(feature.unit, "score") if feature else "score"
    words = feature.doc.rstrip(".").lower() if feature else name.replace("_", " ")
    sides: tuple[When, When] = ("above", "below")
    return name, tuple(
        _say(name, side, unit, f"{words}: {{value}}", f"{words}：{{value}}") for side in sides
    )


def _phrase(say: _Say, *, group: int, usual: Mapping[str, float]) -> Phrase:
    without = None
    if say.en_without_own and say.zh_without_own:
        without = {"en": say.en_without_own, "zh": say.zh_without_own}
    return Phrase(
        code=f"{say.feature}_{say.when}" + ("_own" if say.own else ""),
        group=group,
        feature=say.feature,
        when=say.when,
        unit=say.unit,
        usual_feature=say.own,
        usual=usual.get(say.feature),
        text={"en": say.en, "zh": say.zh},
        text_without_own=without,
    )
