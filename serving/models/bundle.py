"""One way to open a model bundle, whichever model is inside."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, overload

from features.errors import UnknownNameError
from features.home import ModelName
from serving.models.churn.model import ChurnModel, open_churn_model
from serving.models.volume.model import VolumeModel, open_volume_model

MODELS: tuple[ModelName, ...] = ("volume", "churn")


@overload
def open_model(name: Literal["volume"], path: Path) -> VolumeModel: ...
@overload
def open_model(name: Literal["churn"], path: Path) -> ChurnModel: ...
@overload
def open_model(name: ModelName, path: Path) -> VolumeModel | ChurnModel: ...
def open_model(name: ModelName, path: Path) -> VolumeModel | ChurnModel:
    """Verify a bundle folder and return the model inside.

    Args:
        name: Which model the bundle must hold.
        path: The bundle's folder.

    Raises:
        UnknownNameError: There is no model of that name.
        DamagedArtefactError: Files are missing or differ from their checksums.
        IncompatibleArtefactError: It holds another kind, schema or contract.
    """
    if name == "volume":
        return open_volume_model(path)
    if name == "churn":
        return open_churn_model(path)
    raise UnknownNameError("model", name, MODELS)
