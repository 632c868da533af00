"""What a queue's history says of how it is served: patience, and how well Erlang predicts it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Service:
    """How one queue was served, learnt from contacts with waits.

    Attributes:
        patience_seconds: Mean patience, from waits that end with an answer (censored) or a
            hang-up; None where too few hung up to tell.
        efficiency: What one agent on phone is worth to this queue, in agents of the model: 1
            where the predicted service level is the achieved one. Below 1 where work is not seen
            in handle times; above 1 where agents of other queues help. The effective handle time
            is the AHT divided by it.
        intervals: Intervals in which predicted and achieved service were compared; 0 where the
            history does not say who was there: then the service levels that follow are None.
        predicted: Service level that Erlang predicts without the efficiency, over these.
        achieved: Service level that was achieved in them.
        corrected: Predicted with the efficiency, on intervals later than those it was learnt from.
        corrected_achieved: What was achieved in those.
    """

    patience_seconds: float | None = None
    efficiency: float = 1.0
    contacts: int = 0
    abandoned: int = 0
    intervals: int = 0
    predicted: float | None = None
    achieved: float | None = None
    corrected: float | None = None
    corrected_achieved: float | None = None


UNKNOWN = Service()
"""Of a queue whose history says nothing of waits."""
