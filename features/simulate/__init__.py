"""A simulated contact centre of which the truth is known.

``simulate`` gives it in memory, under the names of our own tables; ``write`` gives the files that
its systems would have exported, with mappings, and the truth beside them.
"""

from features.simulate.config import SimulationConfig
from features.simulate.files import Written, write
from features.simulate.mappings import SOURCES, Source
from features.simulate.memory import Simulation, Truth, simulate

__all__ = [
    "SOURCES",
    "Simulation",
    "SimulationConfig",
    "Source",
    "Truth",
    "Written",
    "simulate",
    "write",
]
