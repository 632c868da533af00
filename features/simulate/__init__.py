"""A simulated contact centre of which the truth is known.

``simulate`` gives it in memory, under the names of our own tables; ``write`` gives the files that
its systems would have exported, with mappings, and the truth beside them. ``simulate_panel`` gives
the volume histories of many queues at once, without customers, tables or files.
"""

from __future__ import annotations

from features.simulate.arrivals import QueueTruth, SimulatedPanel, simulate_panel
from features.simulate.centre import SimulationConfig
from features.simulate.files import SOURCES, Source, Written, write
from features.simulate.simulation import Simulation, Truth, simulate

__all__ = [
    "SOURCES",
    "QueueTruth",
    "SimulatedPanel",
    "Simulation",
    "SimulationConfig",
    "Source",
    "Truth",
    "Written",
    "simulate",
    "simulate_panel",
    "write",
]
