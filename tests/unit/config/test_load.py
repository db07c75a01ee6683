"""The layers of the configuration, and everything that is refused."""

from __future__ import annotations

import pickle
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eternal_engine.config import Settings, load, read
from eternal_engine.model.errors import UsageError

SECRET_NAME = "ETERNAL_KEYS__LIVE__TREND__API_SECRET"  # pragma: allowlist secret
TOO_MUCH = "[{drawdown_frac: 0.5, budget_frac: 0.6}, {drawdown_frac: 0.6, budget_frac: 0.6}]"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "config").mkdir()
    return tmp_path


def write(project: Path, name: str, text: str) -> None:
    (project / name).write_text(text, encoding="utf-8")


def settings_of(project: Path, mode: str = "backtest", **environ: str) -> Settings:
    return load(mode, directory=project, environ=environ)  # type: ignore[arg-type]


def refusal(project: Path, mode: str = "backtest", **environ: str) -> UsageError:
    with pytest.raises(UsageError) as caught:
        settings_of(project, mode, **environ)
    return caught.value


def test_without_files_the_defaults_of_the_rules_apply(tmp_path: Path) -> None:
    assert settings_of(tmp_path) == Settings()


def test_each_layer_wins_over_the_one_before(project: Path) -> None:
    def seed() -> int:
        return settings_of(project).backtest.seed

    assert seed() == 7
    write(project, "config/base.yaml", "backtest: {seed: 1}")
    assert seed() == 1
    write(project, "config/backtest.yaml", "backtest: {seed: 2}")
    assert seed() == 2
    write(project, ".env", "ETERNAL_BACKTEST__SEED=3")
    assert seed() == 3
    write(project, ".env.local", "ETERNAL_BACKTEST__SEED=4")
    assert seed() == 4
    (project / "credentials").mkdir()
    write(project, "credentials/eternal.env", "ETERNAL_BACKTEST__SEED=5")
    handed = {"CREDENTIALS_DIRECTORY": str(project / "credentials")}
    assert settings_of(project, **handed).backtest.seed == 5
    assert settings_of(project, **handed, ETERNAL_BACKTEST__SEED="6").backtest.seed == 6


def test_an_engine_file_wins_over_the_default_and_the_mode_over_the_engine_file(project: Path) -> None:
    write(project, "config/trend.yaml", "trend: {sma_days: 150}")
    write(project, "config/live.yaml", "trend: {sma_days: 180}")
    assert settings_of(project).trend.sma_days == 150
    assert settings_of(project, "live").trend.sma_days == 180


def test_every_value_tells_where_it_came_from(project: Path) -> None:
    write(project, "config/trend.yaml", "trend:\n  sma_days: 150\n")
    write(project, ".env", "\nETERNAL_TREND__EMA_DAYS=40\n")
    found = read("paper", directory=project, environ={"ETERNAL_TREND__ADX_DAYS": "10"})
    assert found.origins["trend.sma_days"].endswith("config/trend.yaml:2")
    assert found.origins["trend.ema_days"] == ".env:2 ETERNAL_TREND__EMA_DAYS"
    assert found.origins["trend.adx_days"] == "ETERNAL_TREND__ADX_DAYS"
    assert "trend.atr_days" not in found.origins


def test_k3_switching_one_engine_off_leaves_the_others_on(project: Path) -> None:
    settings = settings_of(project, ETERNAL_TREND__ENABLED="false")
    assert (settings.core_hodl.enabled, settings.trend.enabled) == (True, False)
    assert (settings.funding.enabled, settings.tactical.enabled) == (True, True)


def test_a_config_directory_can_be_named(project: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    write(tmp_path, "elsewhere/base.yaml", "capital_usdt: 5")
    assert settings_of(project, ETERNAL_CONFIG_DIR="elsewhere").capital_usdt == 5
    assert load(config_dir=tmp_path / "elsewhere", directory=project, environ={}).capital_usdt == 5


def test_a_config_directory_that_is_not_there_is_refused(project: Path) -> None:
    error = refusal(project, ETERNAL_CONFIG_DIR="nowhere")
    assert "nowhere" in error.message
    assert error.where == "ETERNAL_CONFIG_DIR"


@pytest.mark.parametrize(
    ("name", "text", "message", "where", "mend"),
    [
        ("trend.yaml", "trend:\n  sma_day: 5", "unknown key trend.sma_day", ":2", "trend.sma_days"),
        ("trend.yaml", "trnd: {}", "unknown key trnd", ":1", "trend"),
        ("trend.yaml", "risk: {warn_frac: 0.5}", "does not belong", ":1", "only trend"),
        ("base.yaml", "trend: {sma_days: 5}", "does not belong", ":1", "backtest, capital_usdt"),
        ("trend.yaml", "trend:\n  sma_days: 5\n  sma_days: 6", "twice", ":3", "keep one"),
        ("funding.yaml", "funding:\n  weights: {BTCUSDT: 1, BTCUSDT: 0}", "twice", ":2", "keep one"),
        ("trend.yaml", "trend:\n  sma_days:", "no value", ":2", "remove the line"),
        ("trend.yaml", "trend: 5", "must be a mapping", ":1", "explain"),
        ("trend.yaml", "- 5", "must be a mapping", ":1", "explain"),
        ("trend.yaml", "trend:\n  sma_days: [", "not YAML", ":3", "correct"),
        ("base.yaml", "keys: {demo: {}}", "API keys do not belong", ":1", ".env.local"),
        ("base.yaml", "alerts: {urls: json://host}", "alerts.urls does not belong", ":1", ".env.local"),
        ("trnd.yaml", "", "would never be read", "trnd.yaml", "trend.yaml"),
        ("backtest.yaml", "risk:\n  max_position_frac: 5", "at most 1", ":2", "use 0.05 for 5 %"),
        ("backtest.yaml", "risk:\n  max_position_frac: -0.1", "at least 0", ":2", "explain"),
        ("backtest.yaml", "tactical:\n  take_profit_frac: 100", "at most 10", ":2", "use 1 for 100 %"),
        ("backtest.yaml", "trend:\n  sma_days: x", "trend.sma_days = x", ":2", "explain trend.sma_days"),
        ("backtest.yaml", "trend:\n  adx_min: .nan", "finite", ":2", "explain trend.adx_min"),
        ("backtest.yaml", "capital_usdt: .inf", "finite", ":1", "explain capital_usdt"),
        ("backtest.yaml", "trend: {leverage: 3}", "less than or equal to 2", ":1", "explain trend.leverage"),
    ],
)
def test_k8_a_wrong_file_is_refused_by_place_and_mend(
    project: Path, name: str, text: str, message: str, where: str, mend: str
) -> None:
    write(project, f"config/{name}", text)
    error = refusal(project)
    assert message in error.message
    assert error.where.endswith(where)
    assert name in error.where
    assert mend in error.mend
    assert error.exit_code == 2


@pytest.mark.parametrize(
    ("variable", "mend"),
    [
        ("ETERNAL_TREND__SMA_DAY", "ETERNAL_TREND__SMA_DAYS"),
        ("ETERNAL_TREND_SMA_DAYS", "ETERNAL_TREND__SMA_DAYS"),
        ("eternal_trend__sma_days", "ETERNAL_TREND__SMA_DAYS"),
        ("ETERNL_TREND__SMA_DAYS", "ETERNAL_TREND__SMA_DAYS"),
        ("ETERNAL_CONFIGDIR", "ETERNAL_CONFIG_DIR"),
        ("ETERNAL_XYZZY", "docs/configuration.md"),
    ],
)
def test_k8_a_misspelt_variable_is_refused_wherever_it_stands(project: Path, variable: str, mend: str) -> None:
    assert mend in refusal(project, **{variable: "5"}).mend
    for name in (".env", ".env.local"):
        write(project, name, f"# a comment\n{variable}=5")
        error = refusal(project)
        assert mend in error.mend
        assert error.where == f"{name}:2 {variable}"
        (project / name).unlink()


def test_variables_of_other_programs_are_left_alone(project: Path) -> None:
    assert settings_of(project, PATH="/bin", EXTERNAL__THING="1", ETERNITY="2") == Settings()


def test_an_empty_variable_counts_as_not_set(project: Path) -> None:
    write(project, ".env", f"ETERNAL_BACKTEST__SEED=\n{SECRET_NAME}=\n")
    assert settings_of(project, ETERNAL_LOG__LEVEL="") == Settings()


def test_a_dotenv_file_is_read_like_a_shell_would(project: Path) -> None:
    lines = [
        "export ETERNAL_BACKTEST__SEED = 8  # why",
        "ETERNAL_LOG__LEVEL='error' # loud",
        'ETERNAL_PATHS__DATA_DIR="a # b"',
        "ETERNAL_TREND__SMA_DAYS=#empty",
    ]
    write(project, ".env", "\n".join(lines))
    settings = settings_of(project)
    assert (settings.backtest.seed, settings.log.level) == (8, "error")
    assert settings.paths.data_dir == Path("a # b")
    assert settings.trend.sma_days == 200


@pytest.mark.parametrize(
    ("text", "message"), [("ETERNAL_LOG__LEVEL", "not an assignment"), ("A=1\nA=2", "A is written twice")]
)
def test_a_broken_dotenv_file_is_refused_by_line(project: Path, text: str, message: str) -> None:
    write(project, ".env", text)
    error = refusal(project)
    assert message in error.message
    assert error.where.startswith(".env:")


def test_k8_a_dotenv_file_that_is_no_text_is_refused_without_repeating_it(project: Path) -> None:
    (project / ".env.local").write_bytes(b"ETERNAL_KEYS__LIVE__TREND__API_KEY=planted\xff")
    error = refusal(project)
    assert "UTF-8" in error.message
    assert error.where.endswith(".env.local")
    assert "planted" not in str(error)


def test_lists_and_maps_are_written_as_yaml_and_replace_the_default(project: Path) -> None:
    settings = settings_of(
        project,
        ETERNAL_CORE_HODL__WEIGHTS="{BTCUSDT: 0.67, ETHUSDT: 0.33}",
        ETERNAL_TACTICAL__LEVELS="[{drawdown_frac: 0.4, budget_frac: 1}]",
    )
    assert dict(settings.core_hodl.weights) == {"BTCUSDT": Decimal("0.67"), "ETHUSDT": Decimal("0.33")}
    assert [level.drawdown_frac for level in settings.tactical.levels] == [Decimal("0.4")]
    assert "not YAML" in refusal(project, ETERNAL_SYMBOLS="[").message


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"ETERNAL_CORE_HODL__WEIGHTS": "{BTCUSDT: 0.9, ETHUSDT: 0.9}"}, "sum to 1.8"),
        ({"ETERNAL_FUNDING__WEIGHTS": "{BTCUSDT: 0.999999998}"}, "sum to 0.999999998"),
        ({"ETERNAL_TACTICAL__WEIGHTS": "{}"}, "sum to 0"),
        ({"ETERNAL_SHARES__TREND": "0.3"}, "sum to 1.1"),
        ({"ETERNAL_TACTICAL__WEIGHTS": "{NOPEUSDT: 1}"}, "NOPEUSDT, missing in symbols"),
        ({"ETERNAL_SYMBOLS": "[BTCUSDT, BTCUSDT]"}, "twice"),
        ({"ETERNAL_CORE_HODL__GAP_LARGE_USDT": "400"}, "must ascend"),
        ({"ETERNAL_CORE_HODL__REBALANCE_OVER": "[0.5]"}, "same number"),
        ({"ETERNAL_CORE_HODL__REBALANCE_UNDER": "[1, 1, 1, 75]"}, "between 0 and 10"),
        ({"ETERNAL_FUNDING__EXIT_BASIS_FRAC": "0.001"}, "must ascend"),
        ({"ETERNAL_RISK__KELLY__WINDOW": "10"}, "at least min_trades"),
        ({"ETERNAL_RISK__CORRELATION__HALVE": "0.95"}, "must ascend"),
        ({"ETERNAL_RISK__BREAKER__WARNING_FRAC": "0.05"}, "must ascend"),
        ({"ETERNAL_TACTICAL__LEVELS": TOO_MUCH}, "more than the whole budget"),
        ({"ETERNAL_KEYS__LIVE__TREND__API_KEY": "k"}, "belong together"),
    ],
)
def test_a2_values_that_do_not_hang_together_are_refused(project: Path, environ: dict[str, str], message: str) -> None:
    error = refusal(project, **environ)
    assert message in error.message
    assert error.where.endswith(next(iter(environ)))


@pytest.mark.parametrize(
    ("symbols", "mend"),
    [
        ("[BTCUSDT, ETHUSDT]", "add SOLUSDT to symbols, or give funding.weights that sum to 1 without it"),
        ("[BTCUSDT, BTCUSDT]", "see `eternal config explain`"),
    ],
)
def test_settings_that_contradict_each_other_come_with_a_mend(project: Path, symbols: str, mend: str) -> None:
    two = "{BTCUSDT: 0.67, ETHUSDT: 0.33}"
    assert refusal(project, ETERNAL_CORE_HODL__WEIGHTS=two, ETERNAL_SYMBOLS=symbols).mend == mend


def test_several_wrong_values_are_named_at_once(project: Path) -> None:
    error = refusal(project, ETERNAL_TREND__RISK_FRAC="2", ETERNAL_TREND__SMA_DAYS="x")
    assert "trend.risk_frac" in error.message
    assert "trend.sma_days" in error.message
    assert error.where == "ETERNAL_TREND__SMA_DAYS, ETERNAL_TREND__RISK_FRAC"


@given(st.lists(st.integers(min_value=0, max_value=10**12), min_size=1, max_size=10))
def test_a2_weights_load_exactly_when_their_sum_is_one(parts: list[int]) -> None:
    names = Settings().symbols[: len(parts)]
    shares = {name: Decimal(part) / 10**12 for name, part in zip(names, parts, strict=True)}
    text = "{" + ", ".join(f"{name}: '{share:f}'" for name, share in shares.items()) + "}"
    nowhere = Path("no such directory")
    if abs(sum(shares.values()) - 1) <= Decimal("1e-9"):
        loaded = load(directory=nowhere, environ={"ETERNAL_CORE_HODL__WEIGHTS": text})
        assert dict(loaded.core_hodl.weights) == shares
    else:
        with pytest.raises(UsageError):
            load(directory=nowhere, environ={"ETERNAL_CORE_HODL__WEIGHTS": text})


def test_decimals_of_a_file_are_exact(project: Path) -> None:
    write(project, "config/funding.yaml", "funding: {cut_frac: 0.123456789012345678}")
    assert settings_of(project).funding.cut_frac == Decimal("0.123456789012345678")


def test_a_secret_is_never_repeated_in_an_error(project: Path) -> None:
    error = refusal(project, **{SECRET_NAME: "hunter2", "ETERNAL_TREND__SMA_DAYS": "x"})
    assert "hunter2" not in str(error)
    write(project, ".env.local", "hunter2")
    assert "hunter2" not in str(refusal(project))


def test_settings_are_frozen_and_travel_between_processes() -> None:
    settings = Settings()
    with pytest.raises(ValueError, match="frozen"):
        settings.trend.sma_days = 1  # type: ignore[misc]
    with pytest.raises(TypeError):
        settings.core_hodl.weights["BTCUSDT"] = Decimal(1)  # type: ignore[index]
    assert pickle.loads(pickle.dumps(settings)) == settings
    assert hash(settings) == hash(Settings())


def test_the_hash_follows_decisions_and_neither_secrets_nor_places(project: Path) -> None:
    base = settings_of(project).hash()
    pair = {SECRET_NAME: "s", SECRET_NAME.replace("SECRET", "KEY"): "k"}
    assert settings_of(project, **pair).hash() == base
    assert settings_of(project, ETERNAL_PATHS__DATA_DIR="d", ETERNAL_LOG__LEVEL="debug").hash() == base
    assert settings_of(project, ETERNAL_TREND__RISK_FRAC="0.0200").hash() == base
    assert settings_of(project, ETERNAL_TREND__RISK_FRAC="0.03").hash() != base
