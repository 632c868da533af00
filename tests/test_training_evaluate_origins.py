import itertools
from datetime import UTC, datetime, timedelta

import pytest

from features.errors import TooLittleDataError
from training.evaluate.origins import rolling_origins

START = datetime(2025, 1, 1, tzinfo=UTC)


def origins(days, **facts):
    asked = {"horizon_days": 28, "step_days": 20, "count": 6, "least_history_days": 28, **facts}
    return rolling_origins(START, as_of=START + timedelta(days=days), **asked)


def test_every_horizon_had_ended_and_every_origin_has_its_history():
    found = origins(400)
    assert len(found) == 6
    assert found[-1] == START + timedelta(days=372)
    assert {b - a for a, b in itertools.pairwise(found)} == {timedelta(days=20)}


def test_origins_of_a_long_history_fall_on_several_weekdays():
    assert len({o.weekday() for o in origins(400)}) >= 5


def test_a_short_history_gets_closer_origins():
    found = origins(80)
    assert [(o - START).days for o in found] == [28, 34, 40, 46, 52]


def test_a_history_of_exactly_the_least_length_gives_one_origin():
    assert origins(56) == (START + timedelta(days=28),)


def test_a_history_that_is_too_short_is_named_with_what_is_needed():
    with pytest.raises(TooLittleDataError, match="55 days; expected at least 56 days"):
        origins(55)
