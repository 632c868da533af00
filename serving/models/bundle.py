"""One way to open a model bundle, whichever model is inside."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, overload

from features.errors import UnknownNameError
from features.home import ModelName
from serving.models.churn.model import ChurnModel
from serving.models.volume.model import VolumeModel
from serving.sets.parts import PARTS_TABLE


@overload
def open_model(name: Literal["volume"], path: Path) -> VolumeModel: ...
@overload
def open_model(name: Literal["churn"], path: Path) -> ChurnModel: ...
@overload
def open_model(name: ModelName, path: Path) -> VolumeModel | ChurnModel: ...
def open_model(name: ModelName, path: Path) -> Any:
    """Verify a bundle folder and return the model inside.

    Raises:
        UnknownNameError: There is no model of that name.
        DamagedArtefactError: Files are missing or differ from their checksums.
        IncompatibleArtefactError: It holds another kind, schema or contract.
    """
    openers = {part.kind: part.open_model for part in PARTS_TABLE if part.open_model}
    if name not in openers:
        raise UnknownNameError("model", name, openers)
    return openers[name](path)
