"""The results of experiments, ready to be sent: one document each, by name.

The folder holds ``results.json``, an object of documents by the experiment's name, and its
manifest; ``meta`` holds ``as_of``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

from features.artefact import open_artefact
from features.errors import DamagedArtefactError, UnknownNameError
from serving.published import PublishedSet

EXPERIMENTS_KIND = "experiment-results"
EXPERIMENTS_SCHEMA = 1
RESULTS_FILE = "results.json"


@dataclass(frozen=True)
class ExperimentResults(PublishedSet):
    """Published results, verified: one document an experiment, from what was known ``as_of``."""

    as_of: datetime
    documents: Mapping[str, Any]

    def document(self, experiment: str) -> Any:
        """Return the results of one experiment.

        Raises:
            UnknownNameError: It is not among the results; the message names those that are.
        """
        if experiment not in self.documents:
            raise UnknownNameError("experiment", experiment, self.documents, field="experiment")
        return self.documents[experiment]


def open_experiments(path: Path) -> ExperimentResults:
    """Verify and read one folder of results.

    Raises:
        ArtefactError: It is damaged or of another contract.
    """
    artefact = open_artefact(path, kind=EXPERIMENTS_KIND, schema=EXPERIMENTS_SCHEMA)
    documents = artefact.json(RESULTS_FILE)
    if not isinstance(documents, dict):
        raise DamagedArtefactError(
            f"{artefact.kind} `{artefact.id}`",
            got=f"`{RESULTS_FILE}` without an object",
            remedy="publish it again with `python -m training experiments`",
        )
    return ExperimentResults(
        artefact, datetime.fromisoformat(artefact.meta["as_of"]), MappingProxyType(documents)
    )
