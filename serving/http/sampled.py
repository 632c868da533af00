"""Joint sample paths of what a request asks for, drawn on demand and bounded in size."""

from __future__ import annotations

from dataclasses import dataclass

from features.calendar import Float64, epoch
from features.errors import InputError
from serving.http.choice import Choice
from serving.http.schemas import PathsRequest
from serving.models.volume.paths import sample_paths
from serving.models.volume.span import cut

MOST_SENT = 2_000_000
"""Values of paths in one answer, some 6 bytes each."""
MOST_DRAWN = 5_000_000
"""Values of paths that one answer's totals are read off."""


@dataclass(frozen=True)
class Drawn:
    """Sample paths; path i of one queue belongs to path i of every other.

    Attributes:
        count: How many.
        seed: What they were drawn with.
        paths: Contacts by queue, in the order of the choice, float64[count, intervals] each.
    """

    count: int
    seed: int
    paths: list[Float64]

    def head(self) -> dict[str, int]:
        """Return what an answer says of them."""
        return {"count": self.count, "seed": self.seed}


def draw(choice: Choice, *, paths: PathsRequest, most: int) -> Drawn:
    """Draw the sample paths of one choice.

    Args:
        choice: What was asked for.
        paths: How many, and the seed.
        most: Greatest number of values, over all queues and intervals.

    Raises:
        InputError: They would be more.
    """
    values = choice.intervals * paths.count
    if values > most:
        raise InputError(
            "the sample paths",
            got=f"{choice.intervals} intervals x {paths.count} paths = {values} values",
            expected=f"at most {most}",
            remedy="ask for fewer paths, fewer queues or a shorter span at once",
            field="paths.count",
        )
    drawn = sample_paths(
        [cut(forecast, rows) for forecast, rows in choice.queues],
        made_at=epoch(choice.set.made_at),
        count=paths.count,
        seed=paths.seed,
    )
    return Drawn(paths.count, paths.seed, drawn)
