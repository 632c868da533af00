"""A throw-away Postgres server on a socket in a temporary folder."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

SERVER_USER = "postgres"
"""Runs the server when the tests run as root: Postgres refuses to."""


def server_programs() -> Path | None:
    """Return the folder of `initdb` and `pg_ctl`; Debian keeps them off the PATH."""
    on_path = shutil.which("pg_ctl")
    folders = [Path(on_path).resolve().parent] if on_path else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    programs = ("initdb", "pg_ctl", "postgres")
    return next((f for f in folders if all((f / name).is_file() for name in programs)), None)


def can_run_server() -> bool:
    """Return whether a user other than root can run the server."""
    return os.geteuid() != 0 or SERVER_USER in {entry.pw_name for entry in pwd.getpwall()}


@contextlib.contextmanager
def postgres_server() -> Iterator[str]:
    """Start a server, yield the URL of its empty database, and stop it."""
    programs = server_programs()
    assert programs is not None
    user = SERVER_USER if os.geteuid() == 0 else None
    # Not below pytest's own folder, which no other user may enter.
    with tempfile.TemporaryDirectory(prefix="ebbflow-pg-") as name:
        folder = Path(name)
        if user is not None:
            shutil.chown(folder, user)

        def run(program: str, *arguments: str) -> None:
            command = [str(programs / program), "-D", str(folder / "data"), *arguments]
            subprocess.run(
                command, check=True, capture_output=True, user=user, cwd=folder, timeout=60
            )

        run("initdb", "-A", "trust", "-U", "ebbflow", "--no-sync")
        options = f"-c listen_addresses='' -k {folder} -c fsync=off"
        run("pg_ctl", "-w", "-l", str(folder / "log"), "-o", options, "start")
        try:
            yield f"postgresql+psycopg://ebbflow@/postgres?host={folder}"
        finally:
            run("pg_ctl", "-m", "immediate", "stop")
