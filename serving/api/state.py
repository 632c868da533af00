"""What the routes of one application share, and how it follows the published folders."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import structlog
from anyio import to_thread
from fastapi import Request

from serving.api.forecast.requests import Span
from serving.api.middleware import RequestMetrics
from serving.forecast.overlay import OverrideCache, with_override_warnings
from serving.forecast.selection import Selection, in_force, select_forecast
from serving.published.parts import Published, Watcher
from serving.published.score_history import ScoreSetCache
from serving.published.score_set import ScoreSet
from serving.settings import Settings
from serving.store.lists import ListStore

Clock = Callable[[], datetime]


@dataclass
class State:
    """What the routes of one worker share.

    Attributes:
        score_sets: Score sets that were replaced.
    """

    watcher: Watcher
    settings: Settings
    clock: Clock
    log: structlog.typing.FilteringBoundLogger
    metrics: RequestMetrics
    overrides: OverrideCache
    lists: ListStore
    new_key: Callable[[], bytes]
    score_sets: ScoreSetCache

    @property
    def published(self) -> Published:
        """What is in force now; a request takes it once."""
        return self.watcher.published

    def select(self, requested: Span) -> Selection:
        """Return what a request selects of the forecast in force, before its what-if.

        Raises:
            NotPublishedError: There is no forecast.
            InputError: The selection is not in it, or is too large.
        """
        forecast = self.published.require_forecast()
        selection = select_forecast(
            forecast,
            queues=requested.queues,
            start=requested.start,
            end=requested.end,
            interval_minutes=requested.interval_minutes,
        )
        if not requested.overrides:
            return selection
        return in_force(selection, self.overrides.over(forecast))

    def in_force(self) -> Published:
        """Return what is in force now, with planners' overrides and their warnings."""
        published = self.published
        if published.forecast is None:
            return published
        return published.with_forecast(
            with_override_warnings(self.overrides.over(published.forecast))
        )

    async def scores(self, id: str | None) -> ScoreSet:
        """Return the score set of this id; None means the one in force.

        Raises:
            NotPublishedError: There are no scores.
            SetGoneError: The set is gone, or unfit.
        """
        current = self.published.require_scores()
        if id is None or id == current.id:
            return current
        if (earlier := self.score_sets.get(id)) is not None:
            return earlier
        open_earlier = partial(self.score_sets.open, id, current=current)
        return await to_thread.run_sync(open_earlier, abandon_on_cancel=True)

    async def refresh(self) -> None:
        """Look once for what is new, in a thread; a failure is logged, not raised."""
        before, trouble = self.published, self.overrides.known.trouble
        try:
            changed = await to_thread.run_sync(self._look)
        except Exception as error:
            self.log.error("refresh failed", exc_info=error)
            return
        after = self.published
        if before.scores is not None and after.scores is not before.scores:
            self.score_sets.add(before.scores)
        if changed:
            self.log.info("published", parts=list(changed))
        for part, rejection in after.refusals.items():
            if before.refusals.get(part) != rejection:
                self.log.warning("refused", part=part, id=rejection.id, reason=rejection.reason)
        if (now := self.overrides.known.trouble) is not None and now != trouble:
            self.log.warning("overrides unreadable", reason=now)

    def _look(self) -> tuple[str, ...]:
        changed = self.watcher.refresh(now=self.clock())
        self.overrides.refresh(self.published.forecast)
        return changed

    async def refresh_forever(self) -> None:
        """Refresh for ever, with the pause that the settings name."""
        while True:
            await asyncio.sleep(self.settings.refresh_seconds)
            await self.refresh()


def state_of(request: Request) -> State:
    """Return the state of this request's application."""
    state: State = request.app.state.shared
    return state
