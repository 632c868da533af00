"""What the documents say is run and compared; what the project offers stands in them."""

from __future__ import annotations

import doctest
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import typer

from benchmarks.readme import markdown

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCS = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md")}
PORT = "3000"


def _stories() -> Iterator[tuple[str, str]]:
    """Yield each command of the README's console blocks with the output under it."""
    for block in re.findall(r"```console\n(.*?)```", README, flags=re.DOTALL):
        for piece in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = piece.partition("\n")
            yield command, output


@contextmanager
def _background(command: str, *, folder: Path, env: dict[str, str]) -> Iterator[None]:
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            ["bash", "-c", f"exec {command}"], cwd=folder, env=env, stdout=log, stderr=log
        )
        try:
            for _ in range(600):
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", int(env["EBBFLOW_PORT"]))) == 0:
                        break
                assert process.poll() is None, (folder / "server.log").read_text()
                time.sleep(0.1)
            yield
        finally:
            process.terminate()
            process.wait(timeout=20)


def _free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


@pytest.mark.slow
def test_the_readme_prints_what_its_commands_print(tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed: the README's requests cannot be run")
    port = _free_port()
    env = {
        **{k: v for k, v in os.environ.items() if not k.startswith("EBBFLOW_")},
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "EBBFLOW_PORT": port,
        "COLUMNS": "80",
    }
    stories = list(_stories())
    assert len(stories) > 12
    checker = doctest.OutputChecker()
    servers = [command for command, _ in stories if command.endswith(" &")]
    assert servers == ["python -m serving run &"]
    at = [command for command, _ in stories].index(servers[0])
    for command, expected in stories[:at]:
        _check(checker, command, expected, folder=tmp_path, env=env)
    with _background(servers[0].removesuffix(" &"), folder=tmp_path, env=env):
        for command, expected in stories[at + 1 :]:
            here = command.replace(f":{PORT}", f":{port}")
            _check(checker, here, expected, folder=tmp_path, env=env)


def _check(
    checker: doctest.OutputChecker,
    command: str,
    expected: str,
    *,
    folder: Path,
    env: dict[str, str],
) -> None:
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"$ {command}\n{done.stdout}{done.stderr}"
    got = done.stdout if done.stdout.endswith("\n") or not done.stdout else f"{done.stdout}\n"
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    assert checker.check_output(expected, got, flags), f"$ {command}\n{got}\nexpected:\n{expected}"


def test_every_link_in_the_documents_leads_somewhere() -> None:
    for folder, text in [(ROOT, README), *((ROOT / "docs", text) for text in DOCS.values())]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
            assert (folder / target).exists(), target


@pytest.mark.parametrize("room", ["features", "training", "serving"])
def test_every_verb_of_a_room_stands_in_the_documents(room: str) -> None:
    module = __import__(f"{room}.__main__", fromlist=["app"])
    everything = README + "".join(DOCS.values())
    for verb in typer.main.get_command(module.app).commands:  # type: ignore[attr-defined]
        assert f"python -m {room} {verb}" in everything, verb


def test_every_target_of_the_makefile_stands_in_the_readme() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z][a-z-]*):.*##", makefile, flags=re.MULTILINE))
    known = {target for target in targets if f"make {target}" in README}
    assert targets - known <= {"help", "setup", "format", "lock"}


def test_the_chinese_readme_names_the_same_commands() -> None:
    chinese = DOCS["README.zh-CN.md"]
    for command in ("make demo", "make test", "python -m features build", "python -m serving run"):
        assert command in chinese


def test_the_readme_quotes_the_figures_that_the_benchmarks_wrote() -> None:
    between = README.split("<!-- figures -->")[1].split("<!-- end of figures -->")[0]
    assert between.strip() == markdown().strip(), "python -m benchmarks.readme prints them"
