"""The laws of the design: who may import what, and what importing and answering may not do."""

from __future__ import annotations

import ast
import functools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.house import circle, import_graph, module_files

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("features", "serving", "training")
MODULES = module_files(ROOT)
FILES = sorted(MODULES.values())
GRAPH = import_graph(MODULES)

SERVING_MAY_IMPORT = (
    "features.arrays",
    "features.arrow",
    "features.artefact",
    "features.calendar",
    "features.console",
    "features.contracts",
    "features.errors",
    "features.home",
    "features.snapshot",
    "features.volume.history",
    "features.volume.overrides",  # what is served and what the record judges are one rule
)
"""What of `features` reaches neither the engine nor the lake."""
FLOORS = {
    "features": (
        "arrays errors home",
        "arrow calendar console",
        "contracts",
        "engine artefact",
        "volume customers lake",
        "snapshot intake simulate",
        "store commands",
        "build __main__",
    ),
    "serving": (
        "settings staffing files",
        "models",
        "published",
        "batch lists",
        "store",
        "forecast",
        "api",
        "pages",
        "app",
        "service pack commands __main__",
    ),
    "training": (
        "config experiments service registry watch",
        "models",
        "evaluate",
        "leakage",
        "fit",
        "commands __main__",
    ),
}
"""The subjects of each room from the ground up: an import goes down, or stays on a floor."""
ONE_PLACE = {
    "mlflow": {"training/registry/tracking.py"},
    "bentoml": {"serving/service.py", "serving/pack.py"},
    "deltalake": {"features/lake/delta.py"},
    "duckdb": {"features/engine/duckdb.py"},
    "pyspark": {"features/engine/spark.py"},
    "jinja2": {"serving/pages/render.py"},
    "sqlalchemy": {
        "serving/store/database.py",
        "serving/store/lists.py",
        "serving/store/overrides.py",
        "features/intake/ndjson_sql.py",
        "features/intake/sources.py",
        "training/registry/tracking.py",
    },
}
NOT_WHILE_ANSWERING = {
    "deltalake",
    "duckdb",
    "ibis",
    "mlflow",
    "pandas",
    "pyspark",
    "sklearn",
    "statsforecast",
}
CLOCKS = {
    "datetime": {"now", "utcnow", "today"},
    "date": {"today"},
    "Timestamp": {"now", "utcnow", "today"},
    "time": {"time", "time_ns", "localtime", "gmtime"},
}
MAY_READ_CLOCK_AND_ENVIRONMENT = {
    "serving/commands.py",
    "serving/service.py",
    *(f"{room}/__main__.py" for room in ROOMS),
}
MAY_TOUCH_ENVIRONMENT = {
    # Sets MLflow's variables: its telemetry is only off if one is set.
    "training/registry/tracking.py",
}


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@functools.cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


def imports(path: Path) -> Iterator[str]:
    """Yield the dotted name of everything that a file imports, wherever in the file."""
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{relative(path)}: a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def attributes(path: Path) -> Iterator[str]:
    """Yield each `name.attribute` that a file uses, also `a.name.attribute`."""
    for node in nodes(path):
        if isinstance(node, ast.Attribute):
            owner = node.value
            if isinstance(owner, ast.Name):
                yield f"{owner.id}.{node.attr}"
            elif isinstance(owner, ast.Attribute):
                yield f"{owner.attr}.{node.attr}"


@pytest.mark.parametrize(
    ("room", "others"), [("features", {"serving", "training"}), ("serving", {"training"})]
)
def test_imports_point_left(room: str, others: set[str]) -> None:
    wrong = [
        f"{relative(path)} imports {name}"
        for path in FILES
        if relative(path).startswith(f"{room}/")
        for name in imports(path)
        if name.split(".")[0] in others
    ]
    assert wrong == []


def test_serving_takes_only_the_vocabulary_of_features() -> None:
    wrong = [
        f"{name} imports {used}"
        for name, uses in GRAPH.items()
        for used in uses
        if name.startswith("serving") and used.startswith("features.")
        if not any(used == known or used.startswith(f"{known}.") for known in SERVING_MAY_IMPORT)
    ]
    assert wrong == []


def test_no_module_imports_itself_in_a_circle() -> None:
    assert circle(GRAPH) == []


def subject(module: str) -> str:
    return ".".join(module.split(".")[:2])


@pytest.mark.parametrize("room", ROOMS)
def test_an_import_goes_down_from_floor_to_floor(room: str) -> None:
    floors = {f"{room}.{name}": k for k, names in enumerate(FLOORS[room]) for name in names.split()}
    inside = {name: uses - {room} for name, uses in GRAPH.items() if name.startswith(f"{room}.")}
    assert {subject(name) for name in inside} == set(floors)
    up = [
        f"{name} imports {used}"
        for name, uses in inside.items()
        for used in uses
        if used.startswith(f"{room}.") and floors[subject(used)] > floors[subject(name)]
    ]
    assert up == []
    subjects: dict[str, set[str]] = {}
    for name, uses in inside.items():
        own = {subject(used) for used in uses if used.startswith(f"{room}.")}
        subjects.setdefault(subject(name), set()).update(own - {subject(name)})
    assert circle(subjects) == []


def test_pages_and_the_forecast_layer_know_nothing_of_http() -> None:
    wrong = [
        f"{name} imports {used}"
        for name, uses in GRAPH.items()
        for used in uses
        if name.startswith(("serving.pages.", "serving.forecast."))
        and name != "serving.pages.routes"
        and used.startswith("serving.api")
    ]
    assert wrong == []


@pytest.mark.parametrize("tool", sorted(ONE_PLACE))
def test_a_tool_stands_in_one_place(tool: str) -> None:
    users = {relative(path) for path in FILES if tool in {n.split(".")[0] for n in imports(path)}}
    assert users <= ONE_PLACE[tool]


def test_the_engine_is_chosen_in_one_place() -> None:
    choices = {"ibis.duckdb", "ibis.pyspark", "ibis.connect", "ibis.set_backend"}
    users = {relative(path) for path in FILES if choices & {*attributes(path), *imports(path)}}
    assert users <= {"features/engine/duckdb.py", "features/engine/spark.py"}


def test_ibis_stays_in_features() -> None:
    users = {relative(path) for path in FILES if "ibis" in {n.split(".")[0] for n in imports(path)}}
    assert [user for user in users if not user.startswith("features/")] == []


def test_the_clock_is_an_argument() -> None:
    clocks = {f"{owner}.{name}" for owner, names in CLOCKS.items() for name in names}
    wrong = [
        f"{relative(path)} uses {name}"
        for path in FILES
        if relative(path) not in MAY_READ_CLOCK_AND_ENVIRONMENT
        for name in [*attributes(path), *imports(path)]
        if name in clocks
    ]
    assert wrong == []


def test_the_environment_is_read_by_commands_alone() -> None:
    allowed = MAY_READ_CLOCK_AND_ENVIRONMENT | MAY_TOUCH_ENVIRONMENT
    wrong = [
        f"{relative(path)} uses {name}"
        for path in FILES
        if relative(path) not in allowed
        for name in [*attributes(path), *imports(path)]
        if name in {"os.environ", "os.getenv", "os.environb"}
    ]
    assert wrong == []


def test_nothing_is_loaded_that_can_run_code() -> None:
    banned = {"pickle", "joblib", "cloudpickle", "dill", "shelve", "marshal", "skops"}
    wrong = [
        f"{relative(path)} imports {name}"
        for path in FILES
        for name in imports(path)
        if name.split(".")[0] in banned
    ]
    assert wrong == []


# Runs in a fresh process. An event counts as ours when the way from it to a frame of ours does
# not lead through the import system: then our module caused it, and not a library's own import.
GUARD = """
import importlib, json, logging, os, sys

root, names = sys.argv[1], sys.argv[2:]
ours = tuple(os.path.join(root, room) + os.sep for room in ("features", "serving", "training"))
watching, found = [""], []

def culprit():
    frame = sys._getframe(2)
    while frame is not None:
        file = frame.f_code.co_filename
        if "importlib" in file:
            return None
        if file.startswith(ours):
            return f"{os.path.relpath(file, root)}:{frame.f_lineno}"
        frame = frame.f_back
    return None

EVENTS = ("open", "os.mkdir", "os.rename", "os.remove", "os.listdir", "os.scandir", "os.putenv",
          "socket.connect", "socket.bind", "socket.getaddrinfo", "subprocess.Popen",
          "sqlite3.connect", "os.chdir")

def hook(event, args):
    if not watching[0] or event not in EVENTS:
        return
    where = culprit()
    if where or event.startswith("socket."):
        found.append(f"{event} {args[0]!r} at {where} while importing {watching[0]}")

# Pydantic asks for this one itself whenever a class of settings or answers is made.
LIBRARIES_OWN = {"PYDANTIC_DISABLE_PLUGINS"}
# To import one of these is to start it: it may look at the environment, and nothing else.
ENTRY_POINTS = ("__main__", "serving.service")

def watch(method):
    def watched(self, *args):
        ours_to_judge = watching[0] and not watching[0].endswith(ENTRY_POINTS)
        if ours_to_judge and not LIBRARIES_OWN.intersection(args):
            where = culprit()
            if where:
                found.append(f"environment {args!r} at {where} while importing {watching[0]}")
        return method(self, *args)
    return watched

for name in ("__getitem__", "__setitem__", "__delitem__", "__iter__"):
    setattr(os._Environ, name, watch(getattr(os._Environ, name)))
sys.addaudithook(hook)
for name in names:
    watching[0] = name
    importlib.import_module(name)
    watching[0] = ""
    if logging.getLogger().handlers or logging.getLogger().level != logging.WARNING:
        found.append(f"logging is configured by importing {name}")
        logging.getLogger().handlers.clear()
        logging.getLogger().setLevel(logging.WARNING)
print(json.dumps(found))
"""


def run_python(code: str, *arguments: str) -> str:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": os.environ.get("HOME", "/"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_WAIT_POLICY": "passive",
        "BENTOML_DO_NOT_TRACK": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def modules() -> list[str]:
    names = [relative(path).removesuffix(".py").replace("/", ".") for path in FILES]
    return [name.removesuffix(".__init__") for name in names]


def test_importing_a_module_does_nothing() -> None:
    found = json.loads(run_python(GUARD, str(ROOT), *modules()).splitlines()[-1])
    assert found == []


def test_the_guard_sees_what_a_module_does_while_it_is_imported(tmp_path: Path) -> None:
    room = tmp_path / "features"
    room.mkdir()
    (room / "bad.py").write_text(
        "import os, pathlib, logging\n"
        "os.environ.get('HOME')\n"
        "pathlib.Path('made').mkdir()\n"
        "open('made/file', 'w').close()\n"
        "logging.basicConfig()\n"
    )
    code = f"import os, sys; os.chdir({str(tmp_path)!r}); sys.path.insert(0, os.getcwd())\n{GUARD}"
    found = json.loads(run_python(code, str(tmp_path), "features.bad").splitlines()[-1])
    assert [entry.split()[0] for entry in found] == ["environment", "os.mkdir", "open", "logging"]


def test_answering_a_request_needs_no_training_library() -> None:
    code = "import sys, json, serving.app; print(json.dumps(sorted(sys.modules)))"
    loaded = {name.split(".")[0] for name in json.loads(run_python(code).splitlines()[-1])}
    assert loaded & NOT_WHILE_ANSWERING == set()
    assert "training" not in loaded


@pytest.mark.parametrize("room", ROOMS)
def test_a_command_starts_without_the_libraries_of_its_verbs(room: str) -> None:
    code = f"import sys, json, {room}.__main__; print(json.dumps(sorted(sys.modules)))"
    loaded = {name.split(".")[0] for name in json.loads(run_python(code).splitlines()[-1])}
    assert loaded & (NOT_WHILE_ANSWERING | {"bentoml", "lightgbm", "matplotlib"}) == set()
