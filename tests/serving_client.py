"""An HTTP client in this process, over a home with hand-made published folders."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from serving_world import NOW
from starlette.testclient import TestClient

from features.home import Home
from serving.app import create_app
from serving.lists import random_key
from serving.published.parts import Watcher
from serving.settings import Settings, json_log


@dataclass
class Server:
    """A running application and what it wrote."""

    app: FastAPI
    http: TestClient
    watcher: Watcher
    lines: io.BytesIO

    def log(self) -> str:
        """Return everything logged so far."""
        return self.lines.getvalue().decode()


@contextlib.contextmanager
def serving(
    root: Path, *, now: datetime = NOW, new_key: Callable[[], bytes] = random_key, **settings: Any
) -> Iterator[Server]:
    """Run the application over a home; its lifespan too."""
    lines = io.BytesIO()
    watcher = Watcher(Home(root))
    app = create_app(
        watcher,
        settings=Settings(home=root, **settings),
        clock=lambda: now,
        log=json_log(lines),
        new_key=new_key,
    )
    with TestClient(app) as http:
        yield Server(app, http, watcher, lines)
