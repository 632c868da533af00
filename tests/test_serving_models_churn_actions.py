"""The table of actions: the first rule that fits, checked word by word, edited by the user."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from serving_world import NOW, put_churn_bundle, put_snapshot
from typer.testing import CliRunner

from features.errors import ConfigError
from features.home import Home
from serving.__main__ import app
from serving.batch.scores import publish_scores
from serving.models.churn.actions import (
    SHIPPED,
    ActionTable,
    parse_actions,
    read_actions,
    shipped_actions,
)
from serving.models.churn.model import TIERS, ChurnScores
from serving.models.churn.reasons import Phrase, ReasonCatalogue, Reasons
from serving.models.churn.value import SEGMENTS, STAGES
from serving.published.score_set import open_current_score_set

GROUPS = ("silence", "unresolved")
BOOK = ReasonCatalogue(
    GROUPS,
    {"a": 0, "b": 1},
    tuple(
        Phrase(group, i, "a", "above", "days", None, 1.0, {"en": group, "zh": group})
        for i, group in enumerate(GROUPS)
    ),
)
LAST = '[[rule]]\naction = "none"\nwhy = "Nothing to do."\n'


def scores(
    *,
    tier: str | None = "low",
    stage: str = "active",
    segment: str = "regular",
    reasons: tuple[str, ...] = (),
    value: float = 100.0,
) -> ChurnScores:
    """One customer."""
    place = [GROUPS.index(reason) for reason in reasons]
    shape = (1, 3)
    return ChurnScores(
        probability=np.array([np.nan if tier is None else 0.5]),
        tier=np.array([-1 if tier is None else TIERS.index(tier)], dtype=np.int8),
        state=np.zeros(1, dtype=np.int8),
        expected_value_minor=np.array([value]),
        value_at_risk_minor=np.array([value]),
        stage=np.array([STAGES.index(stage)], dtype=np.int8),
        segment=np.array([SEGMENTS.index(segment)], dtype=np.int8),
        reasons=Reasons(
            phrase=np.array([[*place, *[-1] * (3 - len(place))]], dtype=np.int16),
            value=np.zeros(shape),
            usual=np.zeros(shape),
            own=np.zeros(shape, dtype=bool),
            weight=np.zeros(shape),
        ),
    )


def chosen(table: ActionTable, of: ChurnScores, *, consent: float = np.nan) -> str:
    return table.actions[table.choose(of, book=BOOK, consent=np.array([consent]))[0]]


def test_who_does_not_want_to_be_contacted_is_left_alone_whatever_the_risk() -> None:
    worst = scores(tier="critical", segment="champion", reasons=("unresolved",), value=1e9)
    assert chosen(shipped_actions(), worst, consent=0.0) == "no_contact"
    assert chosen(shipped_actions(), worst, consent=1.0) == "solve_problem"
    assert chosen(shipped_actions(), worst) == "solve_problem"


@pytest.mark.parametrize(
    ("customer", "action"),
    [
        (scores(tier=None, stage="prospect", segment="no_purchase"), "none"),
        (scores(tier=None, stage="lapsed", segment="dormant_valuable"), "win_back"),
        (scores(tier=None, stage="lapsed", segment="dormant"), "none"),
        (scores(tier="critical", segment="champion", reasons=("silence",)), "call"),
        (scores(tier="high", reasons=("silence",)), "offer"),
        (scores(tier="high", reasons=("silence", "unresolved")), "solve_problem"),
        (scores(tier="high", stage="new"), "welcome"),
        (scores(tier="medium"), "remind"),
        (scores(tier="low", reasons=("unresolved",)), "none"),
    ],
)
def test_the_shipped_table_answers_as_it_says(customer: ChurnScores, action: str) -> None:
    assert chosen(shipped_actions(), customer) == action


def test_the_first_rule_that_fits_wins_and_a_value_counts_from_its_limit_on() -> None:
    table = parse_actions(
        '[[rule]]\naction = "visit"\nwhy = "a"\nmin_value_minor = 500\n'
        '[[rule]]\naction = "call"\nwhy = "b"\nconsent = ["unknown"]\n' + LAST,
        what="t",
    )
    assert chosen(table, scores(value=500.0)) == "visit"
    assert chosen(table, scores(value=499.0)) == "call"
    assert chosen(table, scores(value=np.nan)) == "call"
    assert chosen(table, scores(value=499.0), consent=1.0) == "none"


def test_what_is_printed_is_read_as_the_same_table() -> None:
    table = shipped_actions()
    assert parse_actions(table.render(), what="printed") == table


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("[[rule]", "TOML in UTF-8"),
        ("", "no `rule`"),
        ("rule = []", "at least 1 item"),
        ("[[rules]]\n" + LAST, "unknown key `rules`.*did you mean `rule`"),
        ('[[rule]]\naction = "call"\n', r"no `rule\.1\.why`"),
        ('[[rule]]\naction = "Call!"\nwhy = "x"\n', r"`rule\.1\.action` = 'Call!'"),
        (
            '[[rule]]\naction = "a"\nwhy = "x"\nteirs = ["high"]\n' + LAST,
            "unknown key.*did you mean `tiers`",
        ),
        (
            '[[rule]]\naction = "a"\nwhy = "x"\ntiers = ["hihg"]\n' + LAST,
            "rule 1, `tiers`.*'hihg'.*did you mean `high`",
        ),
        (
            '[[rule]]\naction = "a"\nwhy = "x"\nreasons = ["unresolvd"]\n' + LAST,
            "rule 1, `reasons`.*did you mean `unresolved`",
        ),
        ('[[rule]]\naction = "a"\nwhy = "x"\nstages = ["gone"]\n' + LAST, "`stages`.*'gone'"),
        ('[[rule]]\naction = "a"\nwhy = "x"\nsegments = ["gone"]\n' + LAST, "`segments`"),
        ('[[rule]]\naction = "a"\nwhy = "x"\nconsent = ["maybe"]\n' + LAST, "'maybe'"),
        ('[[rule]]\naction = "a"\nwhy = "x"\ntiers = "high"\n' + LAST, r"`rule\.1\.tiers`"),
        ('[[rule]]\naction = "a"\nwhy = "x"\nmin_value_minor = -1\n' + LAST, "min_value_minor"),
        (LAST + LAST, "rule 1: got no condition.*exactly the last rule"),
        ('[[rule]]\naction = "a"\nwhy = "x"\ntiers = ["high"]\n', "conditions in the last rule"),
    ],
)
def test_a_table_that_is_wrong_is_refused_with_the_place_and_the_remedy(
    text: str, match: str
) -> None:
    with pytest.raises(ConfigError, match=f"(?is)table.*{match}"):
        parse_actions(text, what="table of actions")


def test_a_file_that_is_no_text_is_refused_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "actions.toml"
    path.write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(ConfigError, match=r"actions\.toml.*delete it for the shipped table"):
        read_actions(path)


def test_the_users_table_decides_what_is_published(tmp_path: Path) -> None:
    home = Home(tmp_path)
    put_churn_bundle(home, names=("purchase_recency_days", "orders"))
    put_snapshot(
        home,
        ids=["asks", "late", "shy"],
        features={
            "purchase_recency_days": np.array([1.0, 170.0, 170.0]),
            "orders": np.ones(3),
            "consent": np.array([1.0, np.nan, 0.0]),
        },
    )
    home.actions.write_text(
        '[[rule]]\naction = "leave"\nwhy = "x"\nconsent = ["no"]\n'
        '[[rule]]\naction = "phone"\nwhy = "x"\nstages = ["at_risk"]\n' + LAST,
        encoding="utf-8",
    )
    publish_scores(home, now=NOW)
    found = open_current_score_set(home.scores)
    assert found.actions == ("leave", "phone", "none")
    records = [json.loads(line) for line in found.page(limit=9).data.splitlines()]
    assert [(r["stage"], r["action"]) for r in records] == [
        ("active", "none"), ("at_risk", "phone"), ("at_risk", "leave")
    ]  # fmt: skip
    home.actions.write_text("[[rule]", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"actions\.toml"):
        publish_scores(home, now=NOW)
    assert open_current_score_set(home.scores).id == found.id


def test_the_command_prints_the_table_in_force(tmp_path: Path) -> None:
    shipped = CliRunner().invoke(app, ["actions", "--home", str(tmp_path)])
    assert shipped.exit_code == 0
    assert parse_actions(shipped.output, what="printed") == parse_actions(SHIPPED, what="shipped")
    assert "consent" in shipped.output
    (tmp_path / "actions.toml").write_text(LAST, encoding="utf-8")
    own = CliRunner().invoke(app, ["actions", "--home", str(tmp_path), "--json"])
    assert json.loads(own.output) == [{"action": "none", "why": "Nothing to do."}]
