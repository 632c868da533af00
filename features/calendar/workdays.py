"""Which days people work in a country: public holidays, the days around them, make-up days.

Names are English wherever library ``holidays`` has them, whatever the locale of the process, so
that an effect learnt by name on one machine is found on another.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache

import holidays
import numpy as np
import numpy.typing as npt

from features.arrays import Bool, Int64
from features.calendar.clock import _years_of
from features.errors import InputError


def holidays_on(days: Int64, country: str | None) -> Bool:
    """Return whether each local day (days since 1970-01-01) is a public holiday, bool[n]."""
    if country is None or len(days) == 0:
        return np.zeros(len(days), dtype=bool)
    known = public_holidays(country, *_years_of(days))
    return np.isin(days, np.fromiter(known, dtype=np.int64, count=len(known)))


def learn_workdays(days: Int64, country: str | None) -> Workdays | None:
    """Return the work calendar over the years of local days (since 1970-01-01, at least one).

    None without a country.
    """
    return None if country is None else workdays_of_years(country, *_years_of(days))


def effective_weekday(days: Int64, country: str | None) -> Int64:
    """Return the weekday whose hours and shape each local day has, 0 for Monday, int64[n].

    A day's own weekday, save for a make-up working day, as China has them: that keeps the hours
    of the day off that it makes up for.

    >>> saturday, sunday = 20_512, 20_513  # 2026-02-28, worked in China, and the day after
    >>> effective_weekday(np.array([saturday, sunday]), "CN").tolist()
    [0, 6]
    """
    weekday: Int64 = (days + 3) % 7
    known = learn_workdays(days, country) if len(days) else None
    if known is None or not known.made_up.any():
        return weekday
    effective: Int64 = known.follows[days - known.first_day]
    return effective


def made_up(days: Int64, country: str | None) -> Bool:
    """Return whether each local day is a make-up working day, bool[n]."""
    known = learn_workdays(days, country) if len(days) else None
    if known is None:
        return np.zeros(len(days), dtype=bool)
    flags: Bool = known.made_up[days - known.first_day]
    return flags


HOLIDAY, EVE, AFTER = "holiday", "eve", "after"
BRIDGE, BRIDGE_EVE, BETWEEN = "bridge", "bridge_eve", "between"
LONG_WEEKEND = "long_weekend"
BEFORE_WEEKEND, AFTER_WEEKEND = "before_long_weekend", "after_long_weekend"
_BETWEEN_DAYS = 7
_ORIGIN = date(1970, 1, 1).toordinal()
_NOTES = ("observed_label", "estimated_label", "observed_estimated_label")


@dataclass(frozen=True)
class Workdays:
    """Every day of some years, as a country keeps them.

    Attributes:
        first_day: Local day of the arrays' first, days since 1970-01-01.
        labels: ``group:name of the holiday`` of a special day, empty for any other, str[days].
            Groups: ``holiday``; ``eve`` and ``after``, the working days next to one; ``bridge``
            and ``bridge_eve``, one working day alone between a holiday and other days off, after
            the holiday or before it; ``long_weekend``, a weekend lengthened by a holiday;
            ``before_long_weekend`` and ``after_long_weekend``, the working days next to its end
            that is no holiday; ``between``, other days between two holidays that lie at most a
            week apart.
        follows: Weekday whose hours each day keeps, 0 for Monday: its own, save for a make-up
            working day, which keeps those of the day off that it makes up for, int64[days].
        made_up: Whether it is a make-up working day, bool[days].
        rest_weekday: The last day of the country's weekend, 0 for Monday.
    """

    first_day: int
    labels: npt.NDArray[np.str_]
    follows: npt.NDArray[np.int64]
    made_up: npt.NDArray[np.bool_]
    rest_weekday: int


@lru_cache(maxsize=256)
def public_holidays(country: str, first_year: int, last_year: int) -> Mapping[int, str]:
    """Return public holidays by local day (days since 1970-01-01), over whole years.

    ``country``: ISO 3166 code, with a subdivision as in ``DE-BY``.

    Raises:
        InputError: The country or subdivision is unknown.

    >>> public_holidays("US", 2026, 2026)[20638]  # 2026-07-04
    'Independence Day'
    """
    known = _country_holidays(country, first_year, last_year)
    return {_day(day): name for day, name in known.items() if first_year <= day.year <= last_year}


@lru_cache(maxsize=256)
def workdays_of_years(country: str, first_year: int, last_year: int) -> Workdays:
    """Return every day of whole years as a country keeps them.

    Raises:
        InputError: The country or subdivision is unknown.

    >>> china = workdays_of_years("CN", 2026, 2026)
    >>> at = _day(date(2026, 2, 28)) - china.first_day  # a Saturday, for Monday the 23rd
    >>> bool(china.made_up[at]), int(china.follows[at])
    (True, 0)
    """
    # A holiday may be kept, or made up for, in the year before or after its own.
    known = _country_holidays(country, first_year - 1, last_year + 1)
    first = _day(date(first_year - 1, 12, 1))
    days = np.arange(first, _day(date(last_year + 1, 2, 1)), dtype=np.int64)
    weekday = (days + 3) % 7
    made_up = np.isin(days, [_day(day) for day in known.weekend_workdays])
    weekend = np.isin(weekday, sorted(known.weekend)) & ~made_up
    substitutes = _substitutes(known)
    names = _holiday_names(known, substitutes, {int(d) for d in days[weekend]})
    follows = np.where(made_up, _nearest_workday(weekday, known.weekend), weekday)
    for off, worked in substitutes.items():
        if first <= worked <= days[-1]:
            follows[worked - first] = (off + 3) % 7
    return Workdays(
        first_day=first,
        labels=_day_labels(days, names, weekend),
        follows=follows.astype(np.int64),
        made_up=made_up,
        rest_weekday=max(known.weekend, default=6),
    )


def _day(day: date) -> int:
    return day.toordinal() - _ORIGIN


def _country_holidays(country: str, first_year: int, last_year: int) -> holidays.HolidayBase:
    code, _, subdivision = country.partition("-")
    years = range(first_year, last_year + 1)
    try:
        return holidays.country_holidays(
            code, subdiv=subdivision or None, years=years, language="en_US"
        )
    except (NotImplementedError, KeyError):
        raise InputError(
            f"country {country!r}",
            got="no public holidays known for it",
            expected="an ISO 3166 code such as `DE` or `DE-BY`",
            field="country",
        ) from None


def _substitutes(known: holidays.HolidayBase) -> dict[int, int]:
    """Return the day that was worked for each day off that the library says was exchanged."""
    if not known.has_substituted_holidays:
        return {}
    written = known.tr(known.substituted_label).replace(
        "%s", known.tr(known.substituted_date_format)
    )
    exchanged = {}
    for day, name in known.items():
        for part in name.split("; "):
            try:
                worked = datetime.strptime(part, written).date()  # noqa: DTZ007 - a day, no moment
            except ValueError:
                continue
            exchanged[_day(day)] = _day(worked)
    return exchanged


def _holiday_names(
    known: holidays.HolidayBase, substitutes: Mapping[int, int], weekend: set[int]
) -> dict[int, str]:
    """Return the names of holidays by day, a day off in exchange named as what it lengthens."""
    plain = {_day(d): _plain(name, known) for d, name in known.items()}
    names = {day: name for day, name in plain.items() if day not in substitutes}
    for day in sorted(substitutes):
        for step in (-1, 1):
            at = day + step
            while at in weekend or (at in substitutes and at not in names):
                at += step
            if at in names:
                names[day] = names[at]
                break
        else:
            names[day] = "day off"
    return names


def _plain(name: str, known: holidays.HolidayBase) -> str:
    """Return a holiday's name without the note that it is kept on another day."""
    notes = [known.tr(getattr(known, note)) for note in _NOTES if getattr(known, note, None)]
    parts = []
    for part in name.split("; "):
        for note in notes:
            before, _, after = note.partition("%s")
            if before + after and part.startswith(before) and part.endswith(after):
                part = part.removeprefix(before).removesuffix(after)
        parts.append(part)
    return "; ".join(dict.fromkeys(parts))


def _nearest_workday(weekday: npt.NDArray[np.int64], weekend: set[int]) -> npt.NDArray[np.int64]:
    near = [
        next((d + s) % 7 for s in (0, -1, 1, -2, 2, 3) if (d + s) % 7 not in weekend)
        for d in range(7)
    ]
    return np.array(near, dtype=np.int64)[weekday]


@dataclass(frozen=True)
class _DaysOff:
    """A run of days off [first, stop), and the holidays in it, all indices of days."""

    first: int
    stop: int
    holidays: tuple[int, ...]
    longer: bool  # whether a holiday in it is not a weekend's day anyhow


def _day_labels(
    days: npt.NDArray[np.int64], names: Mapping[int, str], weekend: npt.NDArray[np.bool_]
) -> npt.NDArray[np.str_]:
    named = np.isin(days, list(names))
    holidays_at = np.flatnonzero(named).tolist()
    name = {at: names[int(days[at])] for at in holidays_at}
    labels: dict[int, str] = {}
    # The weakest claim on a day is written first, and what is stronger is written over it.
    for before, after in itertools.pairwise(holidays_at):
        if after - before - 1 <= _BETWEEN_DAYS:
            labels |= dict.fromkeys(range(before + 1, after), f"{BETWEEN}:{name[after]}")
    runs = []
    for first, stop in true_runs(weekend | named):
        inside = tuple(at for at in range(first, stop) if named[at])
        longer = any(not weekend[at] for at in inside)
        runs.append(_DaysOff(first, stop, inside, longer))
    with_holidays = [run for run in runs if run.holidays]
    for run in with_holidays:
        labels |= {at: f"{LONG_WEEKEND}:{name[near]}" for at, near in _lengthened(run)}
    for run in with_holidays:
        last = run.holidays[-1]
        labels[run.stop] = f"{AFTER if last == run.stop - 1 else AFTER_WEEKEND}:{name[last]}"
    for run in with_holidays:
        first = run.holidays[0]
        labels[run.first - 1] = f"{EVE if first == run.first else BEFORE_WEEKEND}:{name[first]}"
    for left, right in itertools.pairwise(runs):
        if right.first - left.stop == 1:
            labels |= _bridge(left, right, name)
    labels |= {at: f"{HOLIDAY}:{name[at]}" for at in holidays_at}
    return np.array([labels.get(at, "") for at in range(len(days))], dtype=np.str_)


def _bridge(left: _DaysOff, right: _DaysOff, name: Mapping[int, str]) -> dict[int, str]:
    """Return the label of the one working day between two runs of days off."""
    if right.longer and right.first in right.holidays:
        return {left.stop: f"{BRIDGE_EVE}:{name[right.first]}"}
    if left.longer and left.stop - 1 in left.holidays:
        return {left.stop: f"{BRIDGE}:{name[left.stop - 1]}"}
    return {}


def _lengthened(run: _DaysOff) -> Sequence[tuple[int, int]]:
    """Return each day of a lengthened weekend with the holiday nearest to it."""
    if not run.longer:
        return []
    return [
        (at, min((abs(other - at), other) for other in run.holidays)[1])
        for at in range(run.first, run.stop)
    ]


def true_runs(flags: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return where flags are set, as ranges [start, stop).

    >>> true_runs(np.array([True, False, True, True]))
    [(0, 1), (2, 4)]
    """
    edges = np.flatnonzero(np.diff(np.concatenate(([0], flags.astype(np.int8), [0]))))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]
