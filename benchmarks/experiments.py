"""What experiments tell, where the truth is known: python -m benchmarks.experiments [--quick].

Simulated centres hold a randomised campaign with a known effect on each customer. Outcomes are
drawn again and again from the truth: how often does the 95 % interval hold it, how often does
advice that is asked for at every look stop an experiment without an effect, and what does a
ranking by effect, learnt from one centre's campaign, earn among the customers of another, beside
rankings by risk?
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from benchmarks.experiments_picture import draw
from benchmarks.report import RESULTS, Check, at_least, at_most, finish, within
from features.arrays import Float64
from features.home import Home
from features.intake.load import ingest
from features.lake.delta import Lake
from features.simulate import SimulationConfig, simulate
from features.store import FeatureStore
from training.experiments.effects import adjusters, advise, effect
from training.experiments.sample import Sample, read_experiments
from training.experiments.uplift import area, fit_stay, fit_uplift

UNTIL = datetime(2026, 3, 2, tzinfo=UTC)
HOLD_OUT = 0.1
"""The default of contact lists."""
CUSTOMERS_A_RUN = 4_000
LOOKS = 10
FIRST = 0.2
"""Share of the fresh customers whom each ranking may contact."""
STAYS_WORTH, CONTACT_COSTS = 60.0, 2.0
"""Money that a customer who stays is worth, and that a contact costs."""
_NOISE = 0.5


@dataclass(frozen=True)
class Size:
    """How much is measured.

    Attributes:
        customers: Customers of a centre.
        runs: Draws of outcomes for coverage.
        looked: Experiments that are looked at again and again.
        pairs: Pairs of a centre to learn from and one with fresh customers, by seeds.
    """

    customers: int
    runs: int
    looked: int
    pairs: tuple[tuple[int, int], ...]


FULL = Size(20_000, 2_000, 500, ((101, 102), (103, 104), (105, 106)))
QUICK = Size(6_000, 200, 100, ((101, 102),))


@dataclass(frozen=True)
class Centre:
    """The customers of one centre's campaign, with the truth, arrays of n.

    Attributes:
        sample: What is known of them, with what came.
        untreated: True chance to stay without a contact, float64[n].
        gain: What a contact truly adds to it, float64[n].
        money: Mean money of one who stays, minor units, float64[n].
    """

    sample: Sample
    untreated: Float64
    gain: Float64
    money: Float64


def main() -> None:
    """Measure, print the table, draw the picture and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a small run, to results/part/")
    quick = parser.parse_args().quick
    measure(QUICK if quick else FULL, results=RESULTS / "part" if quick else RESULTS)


def measure(size: Size, *, results: Path) -> None:
    """Measure and write everything.

    Args:
        size: How much.
        results: Folder of the figures and the picture.
    """
    centres: dict[int, Centre] = {}
    for seed in sorted({seed for pair in size.pairs for seed in pair}):
        with tempfile.TemporaryDirectory() as folder:
            centres[seed] = read_centre(Path(folder), customers=size.customers, seed=seed)
    pool = centres[size.pairs[0][0]]
    rows: list[dict[str, Any]] = [
        *cover(pool, runs=size.runs),
        look(pool, runs=size.looked),
        *(profit(centres[learnt], centres[fresh]) for learnt, fresh in size.pairs),
    ]
    packages = ("numpy", "scipy", "pandas")
    finish("experiments", checks=checks_of(rows), rows=rows, packages=packages, results=results)
    print(f"drawn {draw(rows, results=results)}")


def read_centre(folder: Path, *, customers: int, seed: int) -> Centre:
    """Simulate a centre, load it, and read its campaign as an experiment is read.

    Args:
        folder: Where its lake may stand.
        customers: How many.
        seed: Seed of all randomness.
    """
    made = simulate(SimulationConfig(until=UNTIL, customers=customers), seed=seed)
    home = Home(folder / "home")
    for name, table in made.tables.items():
        file = folder / f"{name}.parquet"
        pq.write_table(table, file)
        ingest(Lake(home.lake), name, now=UNTIL, files=[file])
    with FeatureStore(home) as store:
        (decided,) = read_experiments(store, as_of=store.latest(now=UNTIL))
    sample = decided.sample
    known = made.truth.campaign.to_pandas().set_index("customer_id")
    truth = known.loc[list(sample.customer_ids)]
    untreated = 1 - truth["chance_untreated"].to_numpy()
    money = np.fmax(*(sample.features[:, sample.names.index(n)] for n in _MONEY))
    return Centre(
        sample=sample,
        untreated=untreated,
        gain=1 - truth["chance_treated"].to_numpy() - untreated,
        money=np.nan_to_num(money),
    )


_MONEY = ("spend_minor_90d", "order_minor_365d")


def cover(pool: Centre, *, runs: int) -> list[dict[str, Any]]:
    """Return how often each interval holds the true effect, with the default hold-out.

    Each run draws customers from the centre's, an arm for each, and outcomes from the truth; what
    is to be covered is the mean effect over all the centre's customers.

    Args:
        pool: The customers.
        runs: How many draws.
    """
    truth = {
        "retention": float(pool.gain.mean()),
        "value": float((pool.gain * pool.money).mean()),
    }
    held = {(name, how): 0 for name in truth for how in _WAYS}
    errors: dict[tuple[str, str], list[float]] = {key: [] for key in held}
    variances: dict[tuple[str, str], list[float]] = {key: [] for key in held}
    for run in range(runs):
        sample = draw_run(pool, rng=np.random.default_rng([1, run]), gain=pool.gain)
        facts, _ = adjusters(sample)
        for name, outcome in (("retention", sample.retained), ("value", sample.value)):
            for how in _WAYS:
                found = effect(
                    outcome,
                    treated=sample.treated,
                    weight=sample.weight,
                    covariates=facts if how == "adjusted" else None,
                )
                low, high = found.interval()
                held[name, how] += bool(low <= truth[name] <= high)
                errors[name, how].append(found.estimate - truth[name])
                variances[name, how].append(found.standard_error**2)
    return [
        {
            "part": "cover",
            "outcome": name,
            "how": how,
            "runs": runs,
            "customers": CUSTOMERS_A_RUN,
            "hold_out": HOLD_OUT,
            "truth": truth[name],
            "covered": held[name, how] / runs,
            "bias_in_errors": float(np.mean(errors[name, how]) / np.std(errors[name, how])),
            "error_said_over_real": float(
                np.sqrt(np.mean(variances[name, how])) / np.std(errors[name, how])
            ),
            "variance_removed": float(
                1 - np.var(errors[name, how]) / np.var(errors[name, "plain"])
            ),
        }
        for name, how in held
    ]


_WAYS = ("plain", "adjusted")


def draw_run(pool: Centre, *, rng: np.random.Generator, gain: Float64) -> Sample:
    """Return customers drawn from a centre's, with an arm and outcomes drawn from the truth.

    Args:
        pool: The customers.
        rng: Draws them.
        gain: What a contact adds to the chance to stay, float64[n].
    """
    chosen = rng.integers(0, len(pool.gain), CUSTOMERS_A_RUN)
    sample = pool.sample.take(chosen)
    treated = rng.random(CUSTOMERS_A_RUN) >= HOLD_OUT
    chance = pool.untreated[chosen] + gain[chosen] * treated
    retained = (rng.random(CUSTOMERS_A_RUN) < chance).astype(np.float64)
    noise = rng.lognormal(-(_NOISE**2) / 2, _NOISE, CUSTOMERS_A_RUN)
    return replace(
        sample,
        treated=treated,
        share=np.full(CUSTOMERS_A_RUN, 1 - HOLD_OUT),
        retained=retained,
        value=retained * pool.money[chosen] * noise,
    )


def look(pool: Centre, *, runs: int) -> dict[str, Any]:
    """Return how often an experiment without any effect is stopped for one, at ten looks.

    Args:
        pool: The customers.
        runs: How many experiments.
    """
    stopped = naive = 0
    for run in range(runs):
        whole = draw_run(pool, rng=np.random.default_rng([2, run]), gain=np.zeros(len(pool.gain)))
        said, seen = set(), False
        for customers in np.linspace(0, CUSTOMERS_A_RUN, LOOKS + 1)[1:].astype(int):
            part = whole.take(np.arange(customers))
            facts, _ = adjusters(part)
            found = effect(
                part.retained, treated=part.treated, weight=part.weight, covariates=facts
            )
            said.add(advise(found, customers=customers).word)
            low, high = found.interval()
            seen = seen or low > 0 or high < 0
        stopped += bool(said & {"stop: it helps", "stop: it harms"})
        naive += seen
    return {
        "part": "look",
        "runs": runs,
        "looks": LOOKS,
        "stopped": stopped / runs,
        "stopped_by_single_look_intervals": naive / runs,
    }


def profit(learnt: Centre, fresh: Centre) -> dict[str, Any]:
    """Return what each ranking earns among fresh customers, by the truth.

    Args:
        learnt: A centre whose campaign, with what came of it, the rankings are learnt from.
        fresh: Another centre, whose customers are ranked by what is known of them.
    """
    features = fresh.sample.features
    model = fit_uplift(learnt.sample, rng=np.random.default_rng(0))
    held = learnt.sample.take(~learnt.sample.treated)
    forecast = fit_stay(held)
    rankings = {
        "effect": model.predict(features),
        "risk": -forecast.predict(features),
        "true risk": -fresh.untreated,
        "true effect": fresh.gain,
    }
    row: dict[str, Any] = {"part": "profit", "customers": len(fresh.gain), "share": FIRST}
    money = STAYS_WORTH * fresh.gain - CONTACT_COSTS
    everybody = np.ones(len(money))
    for name, by in rankings.items():
        order = np.argsort(-by, kind="stable")
        first = money[order][: round(FIRST * len(order))]
        # By 1,000 customers of the base, whoever is contacted.
        row[f"{name}: profit"] = float(first.sum() / len(order) * 1_000)
        row[f"{name}: area"] = area(fresh.gain, order, everybody)
        row[f"{name}: curve"] = np.interp(
            np.linspace(0, 1, 21),
            np.linspace(0, 1, len(order) + 1),
            np.concatenate(([0.0], np.cumsum(money[order]) / len(order) * 1_000)),
        ).tolist()
    row["random: profit"] = float(FIRST * money.mean() * 1_000)
    return row


def checks_of(rows: Sequence[dict[str, Any]]) -> list[Check]:
    """Return the goals and what was measured."""
    checks = []
    for row in rows:
        if row["part"] == "cover":
            what = (
                f"95 % interval of the effect on {row['outcome']}, {row['how']}: covers the truth"
            )
            checks.append(within(what, 100 * row["covered"], 93, 97, unit=" %"))
            if row["how"] == "adjusted":
                what = f"variance of the effect on {row['outcome']} removed by adjusting"
                checks.append(at_least(what, 100 * row["variance_removed"], 0, unit=" %"))
        elif row["part"] == "look":
            what = f"experiments without an effect stopped for one, {row['looks']} looks"
            checks.append(at_most(what, 100 * row["stopped"], 5, unit=" %"))
    pairs = [row for row in rows if row["part"] == "profit"]
    for i, row in enumerate(pairs, start=1):
        for name in ("risk", "true risk"):
            what = (
                f"fresh customers {i}, the first {FIRST:.0%}: profit a thousand by effect "
                f"({row['effect: profit']:,.0f}) less by {name} ({row[f'{name}: profit']:,.0f})"
            )
            more = row["effect: profit"] - row[f"{name}: profit"]
            checks.append(Check(what, "> 0", f"{more:,.0f}", more > 0))
    return checks


if __name__ == "__main__":
    main()
