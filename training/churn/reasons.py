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
                f"{{value}} order{{s}} in {days} days",
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
                "{value} day{s} between orders",
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
        r"purchase_trend.*|spend_trend.*",
        (
            _say(
                "purchase_trend",
                "below",
                "share",
                "orders less often than before: {value} of the year's pace",
                "近 90 天下单频率为全年的 {value}",
            ),
            _say(
                "spend_trend",
                "below",
                "share",
                "spends less than before: {value} of the year's pace",
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
                "spent {value} in 365 days",
                "最近 365 天消费 {value}",
            ),
            _say(
                "spend_minor_90d",
                "below",
                "minor",
                "spent {value} in 90 days",
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
            _say("returns_90d", "above", "count", "{value} return{s} in 90 days",
                 "最近 90 天退货 {value} 次"),
            _say("returns_365d", "above", "count", "{value} return{s} in 365 days",
                 "最近 365 天退货 {value} 次"),
            _say("returned_share_365d", "above", "share", "sent back {value} of what was bought",
                 "退回金额占购买金额的 {value}"),
        ),
    ),
    "cancellations": (
        r"cancellations_.*",
        (
            _say("cancellations_365d", "above", "count", "{value} cancellation{s} in 365 days",
                 "最近 365 天取消 {value} 次"),
        ),
    ),
    "discounts": (
        r"discount.*",
        (
            _say("discounted_share_365d", "above", "share",
                 "buys at a discount: {value} of the orders", "{value} 的订单使用折扣"),
            _say("discounted_share_365d", "below", "share",
                 "seldom got a discount: {value} of the orders", "{value} 的订单使用折扣，较少"),
            _say("discount_share_365d", "above", "share", "buys at {value} off",
                 "平均折扣 {value}"),
        ),
    ),
    "categories": (
        r"categor.*",
        (
            _say("categories_365d", "below", "count", "bought from {value} categories in 365 days",
                 "最近 365 天购买 {value} 个品类"),
            _say("category_main_share_365d", "above", "share",
                 "buys one kind of thing: {value} from one category", "{value} 来自同一品类"),
        ),
    ),
    "contract": (
        r"term_.*",
        (
            _say("term_left_days", "below", "days", "{value} day{s} until the contract ends",
                 "合同还有 {value} 天到期"),
        ),
    ),
    "late_delivery": (
        r"ship_hours_.*|unshipped_.*|confirm_hours_.*|complete_hours_.*|late_orders_.*",
        (
            _say("late_orders_90d", "above", "count", "{value} late order{s} in 90 days",
                 "最近 90 天有 {value} 笔订单延迟"),
            _say("unshipped_30d", "above", "count", "{value} order{s} not shipped yet",
                 "尚未发货的订单：{value}"),
            _say("ship_hours_90d", "above", "count", "{value} hour{s} until an order ships",
                 "订单发货需 {value} 小时"),
            _say("complete_hours_90d", "above", "count", "{value} hour{s} until an order arrives",
                 "订单送达需 {value} 小时"),
            _say("confirm_hours_90d", "above", "count",
                 "{value} hour{s} until an order is confirmed", "订单确认需 {value} 小时"),
            _say("late_orders_365d", "above", "count", "{value} late order{s} in 365 days",
                 "最近 365 天有 {value} 笔订单延迟"),
            _say("ship_hours_365d", "above", "count", "{value} hour{s} until an order ships",
                 "订单发货需 {value} 小时"),
            _say("complete_hours_365d", "above", "count", "{value} hour{s} until an order arrives",
                 "订单送达需 {value} 小时"),
        ),
    ),
    "unresolved": (
        r"unresolved_.*|resolved_.*|contacts_repeated_.*|transferred_.*|topic.*",
        (
            _say("topic_contacts_14d", "above", "count",
                 "{value} contact{s} about the same problem in 14 days",
                 "14 天内就同一问题联系 {value} 次"),
            _say("topic_contacts_90d", "above", "count",
                 "{value} contact{s} about the same problem in 90 days",
                 "90 天内就同一问题联系 {value} 次"),
            _say("unresolved_90d", "above", "count", "{value} contact{s} not resolved in 90 days",
                 "最近 90 天有 {value} 次联系未解决"),
            _say("contacts_repeated_90d", "above", "count",
                 "had to come back within 7 days {value} time{s} in 90 days",
                 "最近 90 天内 7 天重复联系 {value} 次"),
            _say("unresolved_365d", "above", "count", "{value} contact{s} not resolved in 365 days",
                 "最近 365 天有 {value} 次联系未解决"),
            _say("transferred_90d", "above", "count", "handed on {value} time{s} in 90 days",
                 "最近 90 天被转接 {value} 次"),
            _say("resolved_share_365d", "below", "share", "only {value} of the contacts resolved",
                 "联系的解决率为 {value}"),
        ),
    ),
    "long_waits": (
        r"wait_seconds_.*|abandoned_.*",
        (
            _say("abandoned_90d", "above", "count", "gave up waiting {value} time{s} in 90 days",
                 "最近 90 天放弃等待 {value} 次"),
            _say("wait_seconds_90d", "above", "seconds",
                 "waited {value} second{s} on average in 90 days",
                 "最近 90 天平均等待 {value} 秒"),
            _say("wait_seconds_365d", "above", "seconds",
                 "waited {value} second{s} on average in 365 days",
                 "最近 365 天平均等待 {value} 秒"),
        ),
    ),
    "dissatisfied": (
        r"csat_.*|sentiment_.*|nps_.*",
        (
            _say("csat_last", "below", "score", "gave {value} of 5 the last time",
                 "最近一次满意度：{value}（满分 5）"),
            _say("csat_365d", "below", "score", "gives {value} of 5 on average",
                 "平均满意度：{value}（满分 5）"),
            _say("nps_365d", "below", "score", "would recommend us with {value} of 10",
                 "推荐意愿：{value}（满分 10）"),
            _say("sentiment_90d", "below", "score",
                 "sounds unhappy in 90 days, -1 to 1: {value}",
                 "最近 90 天情绪（-1 至 1）：{value}"),
        ),
    ),
    "asked_not_bought": (
        r"asked_not_bought_.*|contact_after_purchase",
        (
            _say("asked_not_bought_90d", "above", "count",
                 "asked {value} time{s} in 90 days and did not order",
                 "最近 90 天联系 {value} 次但未下单"),
            _say("asked_not_bought_30d", "above", "count",
                 "asked {value} time{s} in 30 days and did not order",
                 "最近 30 天联系 {value} 次但未下单"),
        ),
    ),
    "contacts": (
        r"contacts_.*|contact_.*",
        (
            _say("contacts_30d", "above", "count", "{value} contact{s} in 30 days",
                 "最近 30 天联系 {value} 次"),
            _say("contacts_90d", "above", "count", "{value} contact{s} in 90 days",
                 "最近 90 天联系 {value} 次"),
            _say("contacts_365d", "above", "count", "{value} contact{s} in 365 days",
                 "最近 365 天联系 {value} 次"),
            _say("contacts_365d", "below", "count", "{value} contact{s} in 365 days",
                 "最近 365 天联系 {value} 次"),
        ),
    ),
}  # fmt: skip
"""By group: which features are of it (the first group that claims one has it), and its phrases."""

_UNITS: Mapping[str, Unit] = {
    "days": "days",
    "count": "count",
    "0 to 1": "share",
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
