"""Whether an experiment can stop: advice that may be asked for as often as one likes.

It goes by an interval that holds at all looks together: the normal mixture of Robbins (1970) in the
form of Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas ("Time-uniform central limit theory and
asymptotic confidence sequences", 2024).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from scipy import stats

from training.experiments import LEAST_EFFECT
from training.experiments.effects import Effect

POWER = 0.8
_EARLY = 0.1
"""Share of the whole experiment's information at which the interval is tightest: it costs 7 % of
its width at the end, and a large effect is seen at once."""
ALPHA = 0.05
Word = Literal[
    "go on",
    "stop: it helps",
    "stop: it harms",
    "stop: no effect worth having within reach",
    "mend first",
]


@dataclass(frozen=True)
class Advice:
    """Whether to stop.

    Attributes:
        low: Lower end of the interval that holds at all looks; None where there is none.
        high: Its upper end.
        information_share: What is known, as a share of what finds the least effect with 80 %
            power in one look; None where nothing is.
    """

    word: Word
    reason: str
    low: float | None = None
    high: float | None = None
    information_share: float | None = None


def always_valid(
    found: Effect, *, target_error: float, alpha: float = ALPHA
) -> tuple[float, float]:
    """Return the interval that covers the truth at all looks together.

    ``alpha``: Chance that it ever misses, in (0, 1).
    """
    information, target = found.standard_error**-2, target_error**-2
    # The mixture's variance that makes the boundary lowest there, to a good approximation.
    rho = _EARLY * target / (-2 * math.log(alpha) + math.log(-2 * math.log(alpha) + 1))
    whole = information + rho
    half = math.sqrt(whole * math.log(whole / (rho * alpha**2))) / information
    return found.estimate - half, found.estimate + half


def target_error(least_effect: float) -> float:
    """Return the standard error at which one look finds the least effect with 80 % power.

    >>> round(target_error(0.028016), 4)
    0.01
    """
    return least_effect / float(stats.norm.ppf(1 - ALPHA / 2) + stats.norm.ppf(POWER))


def advise(found: Effect, *, customers: int, least_effect: float = LEAST_EFFECT) -> Advice:
    """Say whether an experiment can stop, by its effect on retention.

    ``customers``: Customers whose outcome is complete. ``least_effect``: The smallest effect worth
    having, above 0.
    """
    aim = target_error(least_effect)
    share = (aim / found.standard_error) ** 2 if found.standard_error > 0 else math.inf
    if not math.isfinite(share):
        return Advice("go on", "every customer of an arm did the same: nothing can be told yet")
    low, high = always_valid(found, target_error=aim)
    told = (
        f"at all looks together retention changed by {100 * low:+.1f} to {100 * high:+.1f} points"
    )
    word: Word = "go on"
    if low > 0:
        word, why = "stop: it helps", "more than 0"
    elif high < 0:
        word, why = "stop: it harms", "less than 0"
    elif high < least_effect:
        word = "stop: no effect worth having within reach"
        why = f"less than the {100 * least_effect:g} that would be worth having"
    elif share < 1:
        missing = math.ceil(customers * (1 / share - 1))
        unit = "point" if least_effect == LEAST_EFFECT else "points"
        why = f"about {missing:,} more customers would show {100 * least_effect:g} {unit}"
    else:
        why = f"near {100 * least_effect:g} points: a little more will tell"
    return Advice(word, f"{told}, {why}", low, high, share)
