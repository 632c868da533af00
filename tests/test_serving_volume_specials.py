import math

import numpy as np
import pytest

from features.calendar import Event, Queue
from serving.models.volume.specials import DayEffects, day_labels, ordinary

US = Queue("q", time_zone="America/New_York", country="US")
JULY_1 = 20_635
"""2026-07-01 in days since 1970-01-01; Independence Day is on the 4th, kept on the 3rd."""
DAYS = np.arange(JULY_1, JULY_1 + 7)


def event(**facts):
    first = (JULY_1 + 5) * 86_400 + 4 * 3600  # midnight in New York
    defaults = {"starts_at": first, "ends_at": first + 86_400, "known_at": 0}
    return Event("e", "promotion", **{**defaults, **facts})


def test_holidays_name_their_day_and_the_days_around_them():
    labels = day_labels(US, DAYS, [], known_by=0).tolist()
    assert labels[3] == "holiday:Independence Day"
    assert labels[2].startswith("holiday:Independence Day")
    assert labels[1] == "eve"
    assert labels[4] == "after"
    assert labels[0] == labels[5] == ""


def test_a_queue_without_a_country_has_no_holidays():
    assert set(day_labels(Queue("q"), DAYS, [], known_by=0).tolist()) == {""}
    assert day_labels(US, DAYS[:0], [], known_by=0).tolist() == []


def test_an_event_labels_its_local_day():
    labels = day_labels(US, DAYS, [event()], known_by=0).tolist()
    assert labels[5] == "event:promotion"
    assert labels[6] == ""


def test_a_holiday_beats_an_event():
    first = (JULY_1 + 3) * 86_400
    labels = day_labels(US, DAYS, [event(starts_at=first, ends_at=first + 86_400)], known_by=0)
    assert labels[3] == "holiday:Independence Day"


@pytest.mark.parametrize("facts", [{"known_at": 11}, {"queues": ("other",)}])
def test_an_event_that_is_not_yet_known_or_of_another_queue_does_not_exist(facts):
    assert day_labels(US, DAYS, [event(**facts)], known_by=10).tolist()[5] == ""


def test_effects_fall_back_from_the_label_to_its_group_to_all_queues_to_none():
    half, third = math.log(1 / 2), math.log(1 / 3)
    effects = DayEffects({"holiday": half}, {"q": {"holiday:A": third}})
    assert effects.effect("q", "holiday:A") == pytest.approx(1 / 3)
    assert effects.effect("q", "holiday:B") == pytest.approx(1 / 2)
    assert effects.effect("other", "holiday:A") == pytest.approx(1 / 2)
    assert effects.effect("q", "event:launch") == 1
    assert effects.by_day("q", np.array(["", "holiday:A"])) == pytest.approx([1, 1 / 3])


def test_a_history_is_freed_of_its_special_days():
    days = np.full((4, 2), 12.0)
    labels = np.array(["", "holiday:A", "event:promotion", "event:outage"])
    freed = ordinary(days, labels, np.array([1.0, 0.9, 1.5, 0.1]))
    assert freed[0].tolist() == [12, 12]
    assert freed[2].tolist() == [8, 8]
    assert np.isnan(freed[[1, 3]]).all()
