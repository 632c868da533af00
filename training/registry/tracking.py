"""Runs and registered models in MLflow: the only module that knows it.

One folder holds the database ``mlflow.db`` and ``artifacts/``. The models ``ebbflow-volume`` and
``ebbflow-churn`` hold one version a run, with the aliases ``champion`` and ``challenger``. Nothing
that answers a request reads from here: promotion copies the bundle out.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import sqlite3
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from features.artefact import MANIFEST, sha256
from features.errors import ConfigError, DamagedArtefactError, UnknownNameError
from features.home import ModelName
from training.registry import artifacts
from training.registry.artifacts import TrainingResult

Alias = Literal["champion", "challenger"]

_BATCH = 90
"""Parameters a call; MLflow refuses more than 100."""
_PARAM_CHARACTERS = 6000
"""Longest value of a parameter that MLflow stores."""


@dataclass(frozen=True)
class Version:
    """One registered version of a model.

    Attributes:
        number: Its number in the registry, from 1.
    """

    model: ModelName
    number: int
    bundle_id: str
    run_id: str
    created_at: datetime
    as_of: datetime
    aliases: tuple[str, ...]
    metrics: Mapping[str, float]
    archive_sha256: str


@dataclass(frozen=True)
class Tracking:
    """The tracking folder; it is made when something is first recorded.

    Args:
        root: The folder, absolute or relative to the current directory; stored absolute.
    """

    root: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", self.root.absolute())

    @property
    def uri(self) -> str:
        """Address of the database, for ``mlflow server --backend-store-uri``."""
        return f"sqlite:///{self._database.as_posix()}"

    @property
    def _database(self) -> Path:
        return self.root / "mlflow.db"

    @cached_property
    def _client(self) -> Any:
        # MLflow reads its variables while it is imported, and the import takes 1.5 s that only
        # the verbs which track should pay: so it is imported here.
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        from mlflow.exceptions import MlflowException
        from mlflow.tracking import MlflowClient
        from sqlalchemy.exc import SQLAlchemyError

        for name in ("mlflow", "alembic"):  # both announce each step of making the database
            logging.getLogger(name).setLevel(logging.WARNING)
        self.root.mkdir(parents=True, exist_ok=True)
        try:
            # Two processes that make MLflow's tables at once fail; SQLite's own lock keeps them
            # apart on every system, and ends with the process that holds it.
            with (
                contextlib.closing(sqlite3.connect(self.root / ".opening", timeout=120)) as lock,
                warnings.catch_warnings(),
            ):
                warnings.simplefilter("ignore")  # about MLflow's own tables: not for our users
                lock.execute("BEGIN EXCLUSIVE")
                return MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)
        except (MlflowException, SQLAlchemyError, sqlite3.Error) as error:
            raise ConfigError(
                f"tracking database `{self._database}`",
                got=str(error).splitlines()[0],
                remedy=f"if another MLflow version wrote it, run `mlflow db upgrade {self.uri}`",
            ) from error

    def check(self) -> None:
        """Refuse a place that cannot take a run, before a long fit; nothing is made.

        Raises:
            ConfigError: The folder cannot be written, or the database in it is not MLflow's.
        """
        nearest = next(path for path in (self.root, *self.root.parents) if path.exists())
        if not nearest.is_dir() or not os.access(nearest, os.W_OK):
            raise ConfigError(
                f"tracking folder `{self.root}`",
                got=f"`{nearest}`, which is no folder that can be written",
                remedy="set EBBFLOW_MLRUNS or --mlruns",
            )
        if self._database.exists():
            _ = self._client

    def record(
        self,
        trained: TrainingResult,
        *,
        as_of: datetime,
        started_at: datetime,
        ended_at: datetime,
        data_versions: Mapping[str, int],
        data_root: Path,
    ) -> Version:
        """Log a run, register its bundle as a new version and make that the challenger."""
        tags = {
            "model": trained.model,
            "bundle_id": trained.bundle.name,
            "as_of": as_of.isoformat(),
            **{f"data.{table}": str(version) for table, version in sorted(data_versions.items())},
            **{f"lineage.{name}": _text(value) for name, value in sorted(trained.lineage.items())},
        }
        run = self._client.create_run(
            self._experiment(trained.model),
            start_time=_milliseconds(started_at),
            tags=tags,
            run_name=trained.bundle.name,
        )
        run_id = run.info.run_id
        try:
            self._log_values(run_id, trained, at=ended_at)
            self._log_inputs(run_id, data_versions=data_versions, data_root=data_root)
            with tempfile.TemporaryDirectory() as folder:
                digest = _lay_out(trained, Path(folder))
                self._client.log_artifacts(run_id, folder)
        except BaseException:
            self._client.set_terminated(run_id, status="FAILED")
            raise
        self._client.set_terminated(run_id, end_time=_milliseconds(ended_at))
        number = self._register(trained, run.info, as_of=as_of, digest=digest)
        self.set_alias(trained.model, alias="challenger", number=number)
        return self.version(trained.model, number=number)

    def versions(self, model: ModelName) -> tuple[Version, ...]:
        """Return all registered versions of a model, newest first."""
        if not self._database.exists():  # reading must not make one
            return ()
        aliases = self._aliases(model)
        found = []
        token: str | None = None
        while True:
            page = self._client.search_model_versions(
                f"name = '{registered_name(model)}'", max_results=1000, page_token=token
            )
            found += [self._version(model, entry, aliases=aliases) for entry in page]
            token = page.token
            if not token:
                return tuple(sorted(found, key=lambda version: -version.number))

    def version(self, model: ModelName, *, number: int) -> Version:
        """Return one registered version.

        Raises:
            UnknownNameError: There is none of that number.
        """
        found = {version.number: version for version in self.versions(model)}
        if number not in found:
            raise UnknownNameError(f"version of {model}", str(number), map(str, found))
        return found[number]

    def aliased(self, model: ModelName, *, alias: Alias) -> Version | None:
        """Return the version that an alias points at, None where it points at none."""
        number = self._aliases(model).get(alias)
        return None if number is None else self.version(model, number=number)

    def set_alias(self, model: ModelName, *, alias: Alias, number: int) -> None:
        """Point an alias at a version."""
        self._client.set_registered_model_alias(registered_name(model), alias, str(number))

    def drop_alias(self, model: ModelName, *, alias: Alias) -> None:
        """Remove an alias; fine where there is none."""
        if alias in self._aliases(model):
            self._client.delete_registered_model_alias(registered_name(model), alias)

    def fetch(self, version: Version, *, into: Path) -> Path:
        """Download, check and unpack a version's bundle, and return the bundle folder.

        ``into``: An empty folder.

        Raises:
            DamagedArtefactError: The archive is missing, differs from its checksum, or holds
                another bundle.
        """
        what = f"{registered_name(version.model)} version {version.number}"
        from mlflow.exceptions import MlflowException

        packed, plain = into / "archive", into / "bundle"
        packed.mkdir()
        plain.mkdir()
        name = f"bundle/{version.bundle_id}{artifacts.SUFFIX}"
        try:
            file = Path(self._client.download_artifacts(version.run_id, name, str(packed)))
        except (OSError, MlflowException) as error:
            raise DamagedArtefactError(
                what,
                got=f"no archive at `{name}` of run {version.run_id}",
                expected=f"the run's artefacts under {self.root / 'artifacts'}",
                remedy="put them back where they were recorded, or fit again",
            ) from error
        if sha256(file) != version.archive_sha256:
            raise DamagedArtefactError(
                what, got="an archive that differs from its checksum", remedy="fit the model again"
            )
        folder = artifacts.unpack(file, into=plain)
        if folder.name != version.bundle_id:
            raise DamagedArtefactError(
                what, got=f"bundle `{folder.name}`", expected=f"bundle `{version.bundle_id}`"
            )
        return folder

    def _experiment(self, model: ModelName) -> str:
        name = registered_name(model)
        found = self._client.get_experiment_by_name(name)
        if found is None:
            location = (self.root / "artifacts" / model).as_uri()
            _unless_exists(self._client.create_experiment, name, artifact_location=location)
            found = self._client.get_experiment_by_name(name)
        return str(found.experiment_id)

    def _log_values(self, run_id: str, trained: TrainingResult, *, at: datetime) -> None:
        from mlflow.entities import Metric, Param

        params = [
            Param(key, str(value)[:_PARAM_CHARACTERS]) for key, value in trained.params.items()
        ]
        metrics = [
            Metric(key, float(value), _milliseconds(at), 0)
            for key, value in trained.metrics.items()
            if math.isfinite(value)
        ]
        for start in range(0, len(params), _BATCH):
            self._client.log_batch(run_id, params=params[start : start + _BATCH])
        for start in range(0, len(metrics), _BATCH):
            self._client.log_batch(run_id, metrics=metrics[start : start + _BATCH])

    def _log_inputs(
        self, run_id: str, *, data_versions: Mapping[str, int], data_root: Path
    ) -> None:
        from mlflow.entities import Dataset, DatasetInput

        inputs = [
            DatasetInput(
                Dataset(
                    name=table,
                    digest=f"version-{version}",
                    source_type="delta",
                    source=json.dumps({"path": str(data_root / table), "version": version}),
                )
            )
            for table, version in sorted(data_versions.items())
        ]
        if inputs:
            self._client.log_inputs(run_id, datasets=inputs)

    def _register(self, trained: TrainingResult, run: Any, *, as_of: datetime, digest: str) -> int:
        name = registered_name(trained.model)
        _unless_exists(self._client.create_registered_model, name)
        bundle = trained.bundle.name
        entry = self._client.create_model_version(
            name,
            source=f"{run.artifact_uri}/bundle/{bundle}{artifacts.SUFFIX}",
            run_id=run.run_id,
            tags={"bundle_id": bundle, "archive_sha256": digest, "as_of": as_of.isoformat()},
        )
        return int(entry.version)

    def _aliases(self, model: ModelName) -> dict[str, int]:
        if not self._database.exists():
            return {}
        from mlflow.exceptions import MlflowException

        try:
            entry = self._client.get_registered_model(registered_name(model))
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return {}
            raise
        return {alias: int(number) for alias, number in entry.aliases.items()}

    def _version(self, model: ModelName, entry: Any, *, aliases: Mapping[str, int]) -> Version:
        run = self._client.get_run(entry.run_id)
        number = int(entry.version)
        return Version(
            model=model,
            number=number,
            bundle_id=entry.tags["bundle_id"],
            run_id=entry.run_id,
            created_at=datetime.fromtimestamp(entry.creation_timestamp / 1000, tz=UTC),
            as_of=datetime.fromisoformat(entry.tags["as_of"]),
            aliases=tuple(sorted(a for a, target in aliases.items() if target == number)),
            metrics=dict(run.data.metrics),
            archive_sha256=entry.tags["archive_sha256"],
        )


def registered_name(model: ModelName) -> str:
    """Return a model's name in the registry, which is also its experiment's.

    >>> registered_name("churn")
    'ebbflow-churn'
    """
    return f"ebbflow-{model}"


def _lay_out(trained: TrainingResult, folder: Path) -> str:
    """Write a run's files and return the archive's checksum."""
    import pandas as pd  # loads when a run is written: it would double the start of every verb

    for name in ("bundle", "tables", "pictures"):
        (folder / name).mkdir()
    for name, table in trained.tables.items():
        path = folder / "tables" / f"{name}.csv"
        named = not isinstance(table.index, pd.RangeIndex)  # a counter says nothing
        table.to_csv(path, index=named, lineterminator="\n")
    for name, figure in trained.figures.items():
        figure.savefig(folder / "pictures" / f"{name}.png", dpi=120)
    manifest = json.loads((trained.bundle / MANIFEST).read_text(encoding="utf-8"))
    card = json.dumps(manifest["meta"].get("card", {}), indent=1, ensure_ascii=False)
    (folder / "card.json").write_text(card, encoding="utf-8")
    return sha256(artifacts.pack(trained.bundle, into=folder / "bundle"))


def _unless_exists(create: Any, *args: Any, **kwargs: Any) -> None:
    """Create something that another process may create at the same moment."""
    from mlflow.exceptions import MlflowException

    try:
        create(*args, **kwargs)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str, sort_keys=True)
    return text[:_PARAM_CHARACTERS]
