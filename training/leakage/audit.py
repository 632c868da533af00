"""One audit of a home: its tables, features, labels, splits and published bundle."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path

from features.artefact import current_id
from features.clocks import last_purchase, read_clocks
from features.errors import HorizonError, TooLittleDataError
from features.home import Home, ModelName
from features.lake import Lake
from features.past import copy_until
from features.store import FeatureStore
from serving.models.churn.model import open_churn_model
from training.churn.backtest import dates_to_test
from training.churn.config import ChurnConfig
from training.churn.data import AsOf, ChurnSource, History, load_history
from training.leakage import echo, replay, splits, stability, strength
from training.leakage.card import judge_card
from training.leakage.reading import ONE_ROW, read_date
from training.leakage.rest import Judged
from training.leakage.tables import judge_clocks
from training.leakage.verdict import Verdict, unjudged
from training.leakage.volume import replayed_volume

Progress = Callable[[str, float], None]
"""Told the step under way, in words, and the share that is done, in [0, 1]."""
Wrap = Callable[[FeatureStore], ChurnSource]
"""Makes the source that is trained from out of a store: columns of one's own beside ours."""

VOLUME_DAYS = 28
"""How long before the as-of the history of contacts is computed again."""


@dataclass(frozen=True)
class Audit:
    """What an audit found."""

    model: ModelName
    as_of: datetime
    verdicts: tuple[Verdict, ...]

    @property
    def leaks(self) -> tuple[Verdict, ...]:
        """The checks that found a leak."""
        return tuple(v for v in self.verdicts if v.passed is False)


class _Steps:
    """Runs the steps of an audit one after the other, and keeps what each took."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self._total, self._progress, self._done = total, progress, 0
        self.verdicts: list[Verdict] = []

    def run(self, title: str, step: Callable[[], Iterable[Verdict]]) -> None:
        if self._progress is not None:
            self._progress(title, self._done / self._total)
        started = time.perf_counter()
        found = tuple(step())
        each = (time.perf_counter() - started) / max(len(found), 1)
        self.verdicts += [replace(verdict, seconds=each) for verdict in found]
        self._done += 1


def audit_churn(
    home: Home,
    *,
    config: ChurnConfig,
    now: datetime,
    as_of: datetime | None = None,
    wrap: Wrap | None = None,
    progress: Progress | None = None,
) -> Audit:
    """Audit what a churn model would learn from.

    ``as_of``: The moment to look back from; by default the latest that the data allow. ``wrap``:
    What training reads from, made of a store; by default the store itself.

    Raises:
        HorizonError: ``as_of`` lies in the future.
        TooLittleDataError: No event was loaded, or no customer was known at ``as_of``.
    """
    source_of: Wrap = wrap or (lambda store: store)
    steps = _Steps(6, progress)
    with FeatureStore(home) as store:
        moment = _moment(store, as_of, now)
        source = source_of(store)
        steps.run(
            "reading both clocks",
            lambda: judge_clocks(read_clocks(Lake(home.lake), versions=store.versions)),
        )
        history = _History(source, as_of=moment, config=config)
        steps.run("splits", lambda: _splits(history, store, moment, config))
        steps.run("strength of columns", lambda: _columns(source, history, config))
        steps.run("stability", lambda: [_stable(history)])
        at = _replay_dates(history, moment, config)
        steps.run("replay", lambda: _replays(store, source_of, at, now))
    steps.run("bundle", lambda: _bundle(home))
    return Audit("churn", moment, tuple(steps.verdicts))


def audit_volume(
    home: Home,
    *,
    now: datetime,
    as_of: datetime | None = None,
    progress: Progress | None = None,
) -> Audit:
    """Audit what a volume model would learn from: both clocks, and a replay of its histories.

    Raises:
        HorizonError: ``as_of`` lies in the future.
        TooLittleDataError: No event was loaded.
    """
    steps = _Steps(2, progress)
    with FeatureStore(home) as store:
        moment = _moment(store, as_of, now)
        steps.run(
            "reading both clocks",
            lambda: judge_clocks(read_clocks(Lake(home.lake), versions=store.versions)),
        )

        def again() -> list[Verdict]:
            at = moment - timedelta(days=VOLUME_DAYS)
            with tempfile.TemporaryDirectory() as folder, _past(store, folder, at, now) as past:
                return [replayed_volume(store, past, at=at)]

        steps.run("replay", again)
    return Audit("volume", moment, tuple(steps.verdicts))


def _moment(store: FeatureStore, as_of: datetime | None, now: datetime) -> datetime:
    moment = as_of or store.latest(now=now)
    if moment > now:
        raise HorizonError(
            f"as-of {moment.isoformat()}",
            got="a moment in the future",
            expected=f"at most {now.isoformat()}",
            remedy="leave --as-of out to use the latest moment that the data allow",
        )
    return moment


class _History:
    """What training would read, or why it would not."""

    def __init__(self, source: ChurnSource, *, as_of: datetime, config: ChurnConfig) -> None:
        self._source, self._as_of, self._config = source, as_of, config
        self.why = ""

    @cached_property
    def found(self) -> History | None:
        """The grid of dates; None where training would refuse."""
        try:
            return load_history(
                self._source, as_of=self._as_of, config=self._config, progress=lambda _share: None
            )
        except TooLittleDataError as error:
            if len(self._source.customers([self._as_of])) == 0:
                raise  # an as-of before the first row: nothing at all could be judged
            self.why = str(error)
            return None

    @cached_property
    def tested(self) -> tuple[AsOf, ...]:
        """Return the dates that training tests on, the most recent first."""
        if self.found is None:
            return ()
        try:
            return dates_to_test(self.found, config=self._config)
        except TooLittleDataError as error:
            self.why = str(error)
            return ()


def _splits(
    history: _History, store: FeatureStore, as_of: datetime, config: ChurnConfig
) -> tuple[Verdict, ...]:
    names = (splits.APART, splits.GAP, splits.CALIBRATION, splits.TWICE, splits.COMPLETE)
    if history.found is None or not history.tested:
        return tuple(unjudged(name, history.why) for name in names)
    last, silence = last_purchase(Lake(store.home.lake), versions=store.versions)
    until = as_of
    if last is not None:
        # A shop may be shut for as long as it ever was.
        until = min(as_of, last + timedelta(days=silence + 1))
    return splits.audit_splits(
        splits.training_plan(history.found, config=config),
        horizon=history.found.horizon,
        known_until=until,
    )


def _columns(source: ChurnSource, history: _History, config: ChurnConfig) -> list[Verdict]:
    names = (echo.ECHO, strength.FEATURES, strength.MISSING, strength.ORDER, ONE_ROW)
    if history.found is None or not history.tested:
        return [unjudged(name, history.why) for name in names]
    found = history.found
    by_date = []
    for date in history.tested:
        whole, orders, twice = read_date(source, date.at, names=found.names, config=config)
        judged = Judged(whole, found.before(date.at), found.names)
        is_label = echo.judge_echo(whole, found.names)
        by_date.append([is_label, *strength.judge_columns(judged, orders=orders), twice])
    return [_worst(verdicts) for verdicts in zip(*by_date, strict=True)]


def _worst(verdicts: Sequence[Verdict]) -> Verdict:
    """Return a leak of any date, else what was judged at the most recent one."""
    order = {False: 0, True: 1, None: 2}
    return min(verdicts, key=lambda verdict: order[verdict.passed])


def _stable(history: _History) -> Verdict:
    if history.found is None or not history.tested:
        return unjudged(stability.LATER_DATES, history.why)
    found = history.found
    date = history.tested[0]
    return stability.judge_stability(Judged(date, found.before(date.at), found.names))


def _replay_dates(history: _History, as_of: datetime, config: ChurnConfig) -> list[datetime]:
    if history.found is None:
        return [as_of - timedelta(days=config.known_days)]
    dates = [date.at for date in history.found.dates]
    return sorted({dates[0], dates[len(dates) // 2]})


def _replays(
    store: FeatureStore, source_of: Wrap, dates: Sequence[datetime], now: datetime
) -> list[Verdict]:
    source, found = source_of(store), []
    for at in dates:
        with tempfile.TemporaryDirectory() as folder, _past(store, folder, at, now) as past:
            cut = source_of(past).customers([at])
        found.append(replay.replayed(source.customers([at]), cut, at=at))
    return [_worst(found)]


def _past(store: FeatureStore, folder: str, at: datetime, now: datetime) -> FeatureStore:
    past = Home(Path(folder))
    lake = Lake(store.home.lake)
    copy_until(lake, Lake(past.lake), versions=store.versions, at=at, now=now)
    return FeatureStore(past)


def _bundle(home: Home) -> list[Verdict]:
    root = home.bundles("churn")
    id = current_id(root)
    if id is None:
        return []
    return [judge_card(open_churn_model(root / id).card)]
