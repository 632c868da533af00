"""The whole of Ebbflow in one run: a simulated centre in, answers over HTTP out.

Runs the project's own commands one after the other, shows each, then serves and asks.

    python examples/demo.py            # serves until Ctrl-C
    python examples/demo.py --check    # checks the answers, then stops the server
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from rich.console import Console

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from features.simulate import SOURCES  # noqa: E402  (the checkout is put on the path first)

CONSOLE = Console(highlight=False, soft_wrap=True)
MARKER = "DEMO"


def main() -> int:
    """Run the demo; return 0 when every step and, with --check, every answer is right."""
    arguments = _arguments()
    home: Path = arguments.home
    if home.exists() and not (home / MARKER).exists() and any(home.iterdir()):
        CONSOLE.print(
            f"[red]{home} holds data that is not the demo's.[/] Name another folder: --home DIR"
        )
        return 2
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    (home / MARKER).write_text("Made by examples/demo.py; the next run removes this folder.\n")
    started = time.monotonic()
    for title, command in _steps(arguments):
        if not _run(title, command, home):
            return 1
    CONSOLE.print(f"\n[bold]Trained and published in {time.monotonic() - started:.0f} s.[/]\n")
    return _serve(arguments)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="check the answers, then stop")
    parser.add_argument(
        "--home", type=Path, default=Path(os.environ.get("EBBFLOW_HOME", ".ebbflow"))
    )
    parser.add_argument("--port", type=int, default=int(os.environ.get("EBBFLOW_PORT", "3000")))
    parser.add_argument("--customers", type=int, default=5_000)
    parser.add_argument("--days", type=int, default=400)
    parser.add_argument("--seed", type=int, default=7)
    return parser.parse_args()


def _steps(arguments: argparse.Namespace) -> list[tuple[str, list[str]]]:
    """Return each step's title and command."""
    files = arguments.home / "files"
    simulate = ["--customers", arguments.customers, "--days", arguments.days]
    steps = [
        (
            "Simulate a contact centre",
            ["features", "simulate", *simulate, "--seed", arguments.seed, "--out", files],
        )
    ]
    for source in SOURCES:
        mapping = ["--mapping", files / source.name / "mapping.toml"]
        command = ["features", "ingest", source.table, files / source.name / source.files, *mapping]
        steps.append((f"Ingest {source.name} into {source.table}", command))
    steps += [
        ("Build the features", ["features", "build"]),
        ("Train the volume model", ["training", "fit", "volume"]),
        ("Train the churn model", ["training", "fit", "churn"]),
        ("Promote the volume model", ["training", "promote", "volume"]),
        ("Promote the churn model", ["training", "promote", "churn"]),
        ("Publish forecasts", ["serving", "forecast"]),
        ("Publish churn scores", ["serving", "score"]),
    ]
    return [(title, [str(word) for word in command]) for title, command in steps]


def _environment(home: Path) -> dict[str, str]:
    return {
        **os.environ,
        "EBBFLOW_HOME": str(home),
        "OMP_WAIT_POLICY": "passive",
        "BENTOML_DO_NOT_TRACK": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }


def _run(title: str, command: list[str], home: Path) -> bool:
    """Run one command of the project, showing it and how long it took."""
    CONSOLE.print(f"[bold]{title}[/]\n  [dim]$ python -m {shlex.join(command)}[/]")
    began = time.monotonic()
    with CONSOLE.status(title):
        done = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=ROOT,
            env=_environment(home),
            capture_output=True,
            text=True,
            check=False,
        )
    seconds = time.monotonic() - began
    if done.returncode:
        CONSOLE.print(done.stdout + done.stderr, markup=False)
        CONSOLE.print(f"  [red]failed with exit code {done.returncode}[/]")
        return False
    CONSOLE.print(f"  [green]done[/] in {seconds:.1f} s")
    return True


def _serve(arguments: argparse.Namespace) -> int:
    """Start the server, ask it, and stop it at the end."""
    base = f"http://127.0.0.1:{arguments.port}"
    log = (arguments.home / "server.log").open("w")
    server = subprocess.Popen(
        [sys.executable, "-m", "serving", "run", "--port", str(arguments.port)],
        cwd=ROOT,
        env=_environment(arguments.home),
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    try:
        if not _ready(base, server):
            CONSOLE.print((arguments.home / "server.log").read_text(), markup=False)
            return 1
        wrong = _ask(base)
        if arguments.check:
            for line in wrong:
                CONSOLE.print(f"[red]wrong:[/] {line}")
            CONSOLE.print("[green]All answers are right.[/]" if not wrong else "")
            return 1 if wrong else 0
        CONSOLE.print(f"\nServing on {base} (a page for people: {base}/ ). Stop with Ctrl-C.")
        server.wait()
    except KeyboardInterrupt:
        CONSOLE.print("\nStopping.")
    finally:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(timeout=15)
        except subprocess.TimeoutExpired:
            server.kill()
        log.close()
    return 0


def _ready(base: str, server: subprocess.Popen[bytes], seconds: float = 60) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until and server.poll() is None:
        try:
            _get(f"{base}/readyz")
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.2)
        else:
            return True
    return False


def _get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310  (our own server)
        return json.load(answer)


def _post(base: str, route: str, body: dict[str, Any]) -> Any:
    """Ask the server, showing the curl command that asks the same, and its answer."""
    text = json.dumps(body)
    CONSOLE.print(
        f"\n[bold]$ curl -s {base}{route} -H 'Content-Type: application/json' -d '{text}'[/]",
    )
    request = urllib.request.Request(  # noqa: S310  (our own server)
        base + route, data=text.encode(), headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        document = json.load(answer)
    CONSOLE.print(json.dumps(document, indent=2, ensure_ascii=False), markup=False)
    return document


def _ask(base: str) -> list[str]:
    """Ask the three questions; return what is wrong with the answers."""
    queue = _get(f"{base}/v1/queues")["queues"][0]
    zone = ZoneInfo(queue["time_zone"])
    made_at = datetime.fromisoformat(_get(f"{base}/v1/forecast?queue={queue['queue']}")["made_at"])
    start = (made_at.astimezone(zone) + timedelta(days=1)).replace(hour=10, minute=0, second=0)
    while start.weekday() > 3:
        start += timedelta(days=1)
    span = {
        "queues": [queue["queue"]],
        "start": start.isoformat(),
        "end": (start + timedelta(hours=2)).isoformat(),
    }
    forecast = _post(base, "/v1/forecast", {**span, "quantiles": [0.1, 0.5, 0.9]})
    staffing = _post(
        base,
        "/v1/staffing",
        {**span, "goal": {"service_level": 0.8, "threshold_seconds": 20}, "shrinkage": 0.3},
    )
    page = urllib.request.urlopen(f"{base}/v1/churn/scores?tier=critical&limit=2", timeout=10)  # noqa: S310
    ids = [json.loads(line)["customer_id"] for line in page.read().splitlines()]
    scores = _post(base, "/v1/churn/scores", {"customer_ids": [*ids, "nobody"]})
    return [*_wrong_forecast(forecast), *_wrong_staffing(staffing), *_wrong_scores(scores, ids)]


def _wrong_forecast(answer: dict[str, Any]) -> list[str]:
    intervals = answer["queues"][0]["intervals"]
    wrong = [] if len(intervals) == 2 else [f"forecast: {len(intervals)} intervals, not 2"]
    for interval in intervals:
        volume = interval["volume"]
        levels = list(volume["quantiles"].values())
        if not (volume["mean"] > 0 and levels == sorted(levels) and interval["aht_seconds"] > 0):
            wrong.append(f"forecast: {interval}")
    return wrong


def _wrong_staffing(answer: dict[str, Any]) -> list[str]:
    wrong = []
    for interval in answer["intervals"]:
        load = interval["volume"] * interval["aht_seconds"] / 3600
        enough = interval["agents_on_phone"] > load and interval["goal_probability"] >= 0.8
        if not (enough and interval["agents_rostered"] >= interval["agents_on_phone"] / 0.7):
            wrong.append(f"staffing: {interval}")
    return wrong


def _wrong_scores(answer: dict[str, Any], ids: list[str]) -> list[str]:
    wrong = [] if answer["unknown"] == ["nobody"] else [f"scores: unknown {answer['unknown']}"]
    if [score["customer_id"] for score in answer["scores"]] != ids:
        wrong.append("scores: not the customers that were asked for")
    for score in answer["scores"]:
        probability = score["probability"]
        if probability is not None and not 0 <= probability <= 1:
            wrong.append(f"scores: {score}")
    return wrong


if __name__ == "__main__":
    sys.exit(main())
