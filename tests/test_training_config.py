from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from features.errors import ConfigError
from training.config import Config, load_config, reference, render, settings

ROOT = Path(__file__).resolve().parent.parent


def write(folder: Path, text: str) -> Path:
    path = folder / "config.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_without_a_file_every_key_has_its_default() -> None:
    assert load_config(None) == Config()


def test_a_file_changes_what_it_names_and_nothing_else(tmp_path: Path) -> None:
    text = "[churn]\nhorizon_days = 60\ntier_shares = [0.1, 0.2, 0.3]\nlearning_rate = 1\n"
    config = load_config(write(tmp_path, text))
    assert config.volume == Config().volume
    assert config.churn.tier_shares == (0.1, 0.2, 0.3)
    changed = {"horizon_days": 60, "tier_shares": (0.1, 0.2, 0.3), "learning_rate": 1.0}
    assert config.churn == Config().churn.model_copy(update=changed)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[volume]\nhorizn_days = 7\n", "unknown key `volume.horizn_days`.*`horizon_days`"),
        ("[volum]\nseed = 7\n", "unknown key `volum`.*`volume`"),
        ("seed = 7\n", "unknown key `seed`"),
        ("[volume]\nseed = '7'\n", "`volume.seed` = '7'.*valid integer"),
        ("[volume]\nseed = 1.5\n", "`volume.seed` = 1.5"),
        ("[volume]\nseed = true\n", "`volume.seed` = True"),
        ("[volume]\nhorizon_days = 0\n", "`volume.horizon_days` = 0.*greater than or equal to 1"),
        ("[churn]\ntier_shares = [0.5, 0.4, 0.3]\n", "`churn` = .*sum to less than 1"),
        ("[churn]\ntier_shares = [0.5]\n", "tier_shares"),
        ("[churn]\nlearning_rate = nan\n", "learning_rate"),
        ("volume = 3\n", "`volume` = 3"),
        ("[volume\n", "TOML in UTF-8"),
    ],
)
def test_a_wrong_key_or_value_is_named(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        load_config(write(tmp_path, text))
    assert "config.toml" in str(caught.value)


def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, "[volume]\nseeed = 1\n[churn]\ntrees = 0\n"))
    assert "`volume.seeed`" in str(caught.value)
    assert "`churn.trees` = 0" in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"missing\.toml.*python -m training config"):
        load_config(tmp_path / "missing.toml")
    with pytest.raises(ConfigError, match="a readable TOML file"):
        load_config(tmp_path)
    latin = tmp_path / "latin.toml"
    latin.write_bytes("# Größe\n".encode("latin-1"))
    with pytest.raises(ConfigError, match="UTF-8"):
        load_config(latin)


def test_a_configuration_cannot_be_changed_by_accident() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Config().volume.seed = 2  # type: ignore[misc]


def test_what_is_rendered_says_every_key_and_gives_the_defaults(tmp_path: Path) -> None:
    assert load_config(write(tmp_path, render())) == Config()
    written = {f"{t}.{key}" for t, keys in tomllib.loads(render()).items() for key in keys}
    assert written == {path for path, _, _ in settings(Config)}


@pytest.mark.parametrize(
    "text",
    [
        'tiers_by = "money"',
        'tiers_by = "money"\ntier_money_minor = [10, 20, 5]',
        'tiers_by = "money"\ntier_money_minor = [20, 10, 0]',
        "tier_money_minor = [30, 20, 10]",
    ],
)
def test_tiers_by_money_need_falling_limits_and_tiers_by_capacity_none(
    tmp_path: Path, text: str
) -> None:
    with pytest.raises(ConfigError, match="tier_money_minor"):
        load_config(write(tmp_path, f"[churn]\n{text}\n"))
    good = '[churn]\ntiers_by = "money"\ntier_money_minor = [30, 20, 10]\n'
    assert load_config(write(tmp_path, good)).churn.tier_money_minor == (30, 20, 10)


def test_every_key_is_described() -> None:
    assert [path for path, field, _ in settings(Config) if not field.description] == []


def test_the_example_is_what_the_command_prints() -> None:
    path = ROOT / "examples" / "config.toml"
    assert path.read_text(encoding="utf-8") == render(), (
        "run `python -m training config > examples/config.toml`"
    )


def test_the_docs_list_every_key_with_its_default() -> None:
    page = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    assert reference() in page, "put `python -m training config --markdown` into docs/training.md"
    for path, _, default in settings(Config):
        shown = list(default) if isinstance(default, tuple) else default
        shown = f'"{shown}"' if isinstance(shown, str) else shown
        assert f"| `{path}` | `{shown}` |" in page
