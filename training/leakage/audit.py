"""One audit of a home: its tables, features, labels, splits and published bundle."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path

from features.artefact import current_id
from features.errors import HorizonError, TooLittleDataError
from features.home import Home, ModelName
from features.lake.audit import copy_until, last_purchase, read_clocks
from features.lake.delta import Lake
from features.store import FeatureStore
from serving.models.churn.model import open_churn_model
from training.config import ChurnConfig
from training.evaluate.churn_backtest import dates_to_test
from training.leakage import Verdict, columns, ranking, replay, splits, unjudged
from training.leakage.columns import ECHO, FEATURES, MISSING, judge_columns, judge_echo
from training.leakage.ranking import ONE_ROW, Judged, read_date
from training.leakage.replay import judge_clocks, replayed_volume
from training.leakage.splits import judge_card
from training.models.churn.history import ChurnSource, GridDate, History, load_history

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

    ``as_of`` is by default the latest that the data allow. ``wrap`` makes of a store what training
    reads from; by default it is the store itself.

    Raises:
        HorizonError: ``as_of`` lies in the future.
        TooLittleDataError: No event was loaded, or no customer was known at ``as_of``.
    """
    source_of: Wrap = wrap or (lambda store: store)
    steps = _Steps(6, progress)
    with FeatureStore(home) as store:
        moment = _moment(store, as_of, now)
        source = source_of(store)
        steps.run("reading both clocks", lambda: _clocks(store))
        grid = _Grid(source, as_of=moment, config=config)
        steps.run("splits", lambda: _split_verdicts(grid, store))
        steps.run("strength of columns", lambda: _column_verdicts(grid))
        steps.run("stability", lambda: [_stability_verdict(grid)])
        dates = grid.dates_to_replay
        steps.run("replay", lambda: [_replay_verdict(store, source_of, dates, now)])
    steps.run("bundle", lambda: _bundle_verdicts(home))
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
        steps.run("reading both clocks", lambda: _clocks(store))

        def again() -> list[Verdict]:
            at = moment - timedelta(days=VOLUME_DAYS)
            with _past(store, at, now) as past:
                return [replayed_volume(store, past, at=at)]

        steps.run("replay", again)
    return Audit("volume", moment, tuple(steps.verdicts))


def _clocks(store: FeatureStore) -> tuple[Verdict, ...]:
    return judge_clocks(read_clocks(Lake(store.home.lake), versions=store.versions))


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


class _Grid:
    """The dates that training would read and test on, or why it would not."""

    def __init__(self, source: ChurnSource, *, as_of: datetime, config: ChurnConfig) -> None:
        self.source, self.as_of, self.config = source, as_of, config
        self.why = ""

    @cached_property
    def history(self) -> History | None:
        """All dates; None where training would refuse."""
        try:
            return load_history(self.source, as_of=self.as_of, config=self.config)
        except TooLittleDataError as error:
            if len(self.source.customers([self.as_of])) == 0:
                raise  # an as-of before the first row: nothing at all could be judged
            self.why = str(error)
            return None

    @cached_property
    def tested(self) -> tuple[GridDate, ...]:
        """The dates that training tests on, the most recent first."""
        if self.history is None:
            return ()
        try:
            return dates_to_test(self.history, config=self.config)
        except TooLittleDataError as error:
            self.why = str(error)
            return ()

    @property
    def dates_to_replay(self) -> list[datetime]:
        """The most recent date and the middle one."""
        if self.history is None:
            return [self.as_of - timedelta(days=self.config.known_days)]
        dates = [date.at for date in self.history.dates]
        return sorted({dates[0], dates[len(dates) // 2]})


def _split_verdicts(grid: _Grid, store: FeatureStore) -> tuple[Verdict, ...]:
    if grid.history is None or not grid.tested:
        checks = (splits.APART, splits.GAP, splits.CALIBRATION, splits.TWICE, splits.COMPLETE)
        return tuple(unjudged(check, grid.why) for check in checks)
    last, silence = last_purchase(Lake(store.home.lake), versions=store.versions)
    until = grid.as_of
    if last is not None:
        # A shop may be shut for as long as it ever was.
        until = min(until, last + timedelta(days=silence + 1))
    plan = splits.training_plan(grid.history, config=grid.config)
    return splits.audit_splits(plan, horizon=grid.history.horizon, known_until=until)


def _column_verdicts(grid: _Grid) -> list[Verdict]:
    if grid.history is None or not grid.tested:
        checks = (ECHO, FEATURES, MISSING, ranking.ORDER, ONE_ROW)
        return [unjudged(check, grid.why) for check in checks]
    names, by_date = grid.history.names, []
    for date in grid.tested:
        whole, orders, twice = read_date(grid.source, date.at, names=names, config=grid.config)
        judged = Judged(whole, grid.history.before(date.at), names)
        columns = judge_columns(judged, orders=orders)
        by_date.append([judge_echo(whole, names), *columns, twice])
    return [_worst(verdicts) for verdicts in zip(*by_date, strict=True)]


def _worst(verdicts: Sequence[Verdict]) -> Verdict:
    """Return a leak of any date, else what was judged at the most recent one."""
    order = {False: 0, True: 1, None: 2}
    return min(verdicts, key=lambda verdict: order[verdict.passed])


def _stability_verdict(grid: _Grid) -> Verdict:
    if grid.history is None or not grid.tested:
        return unjudged(columns.LATER_DATES, grid.why)
    date = grid.tested[0]
    judged = Judged(date, grid.history.before(date.at), grid.history.names)
    return columns.judge_stability(judged)


def _replay_verdict(
    store: FeatureStore, source_of: Wrap, dates: Sequence[datetime], now: datetime
) -> Verdict:
    source, verdicts = source_of(store), []
    for at in dates:
        with _past(store, at, now) as past:
            cut = source_of(past).customers([at])
        verdicts.append(replay.replayed(source.customers([at]), cut, at=at))
    return _worst(verdicts)


@contextmanager
def _past(store: FeatureStore, at: datetime, now: datetime) -> Iterator[FeatureStore]:
    """Open a copy of a store's lake that ends at a moment."""
    with tempfile.TemporaryDirectory() as folder:
        past, lake = Home(Path(folder)), Lake(store.home.lake)
        copy_until(lake, Lake(past.lake), versions=store.versions, at=at, now=now)
        with FeatureStore(past) as opened:
            yield opened


def _bundle_verdicts(home: Home) -> list[Verdict]:
    root = home.bundles("churn")
    id = current_id(root)
    return [] if id is None else [judge_card(open_churn_model(root / id).card)]
