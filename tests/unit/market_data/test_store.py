"""The store: whole or not at all, recognised by manifests, verified when read (J19)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from eternal_engine import cli
from eternal_engine.market_data.datasets import SPOT
from eternal_engine.market_data.files import read_series
from eternal_engine.market_data.folder import open_folder
from eternal_engine.market_data.importing import import_folder
from eternal_engine.market_data.inventory import take_inventory
from eternal_engine.market_data.load import load_history
from eternal_engine.market_data.store import write_series, writing
from eternal_engine.model.errors import DataError, RefusedError, UsageError

BOTH = ("BTCUSDT", "ETHUSDT")


@pytest.fixture
def stored(market, tmp_path) -> Path:
    path = tmp_path / "store"
    import_folder(market.path, path, source_name="a test")
    return path


@pytest.mark.parametrize("market", [".parquet", ".csv"], indirect=True)
def test_an_imported_store_gives_the_same_history_as_the_files(market, stored):
    history = load_history(stored, BOTH)
    assert history.fingerprint == load_history(market.path, BOTH).fingerprint
    assert (history.source, history.synthetic) == ("a test", False)


def test_a_manifest_says_what_is_in_the_file_and_where_it_came_from(market, tmp_path):
    market.edit("spot_1h/ETHUSDT", lambda c: {k: v[[0, 0, *range(1, len(v))]] for k, v in c.items()})
    import_folder(market.path, tmp_path / "store", source_name="a test")
    manifest = json.loads((tmp_path / "store/spot_1h/ETHUSDT.manifest.json").read_text())
    written = manifest.pop("written")
    sha256 = manifest.pop("sha256")
    assert manifest == {
        "dataset": "spot_1h",
        "symbol": "ETHUSDT",
        "source": "a test",
        "synthetic": False,
        "first": "2020-01-01T00:00Z",
        "last": "2020-01-10T23:00Z",
        "rows": 237,
        "gaps": [{"start": "2020-01-05T04:00Z", "end": "2020-01-05T07:00Z"}],
        "duplicates_dropped": 1,
        "exchange": "",
        "requested_from": None,
        "note": "",
        "schema_version": 1,
        "complete": True,
    }
    assert written.endswith("Z")
    assert len(sha256) == 64


def test_one_changed_byte_is_found_by_loading_and_by_verify(stored, capsys):
    file = stored / "perp_1h/BTCUSDT.parquet"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(DataError, match="not what its manifest says") as caught:
        load_history(stored, BOTH)
    assert "download or import" in caught.value.mend
    assert cli.run(["data", "verify", str(stored)]) == 3
    assert "1 of 7 files are bad" in capsys.readouterr().err
    assert cli.run(["data", "list", str(stored)]) == 0
    assert "BAD:" in capsys.readouterr().out


def test_j19_a_file_without_a_manifest_is_not_complete(stored):
    (stored / "spot_1h/BTCUSDT.manifest.json").unlink()
    with pytest.raises(DataError, match="has no manifest, so it may be incomplete"):
        load_history(stored, BOTH)


def test_j19_the_first_file_of_a_store_without_its_manifest_is_not_complete_either(market, tmp_path):
    with writing(tmp_path / "store"):
        file = tmp_path / "store/spot_1h/BTCUSDT.parquet"
        file.parent.mkdir()
        file.write_bytes(market.file("spot_1h/BTCUSDT").read_bytes())
    with pytest.raises(DataError, match="has no manifest"):
        load_history(tmp_path / "store", ("BTCUSDT",))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"complete": False}, "not complete"),
        ({"schema_version": 99}, "schema version 99"),
        ({"rows": 1}, "its manifest says 1"),
        ({"more": 1}, "lacks or has unknown keys"),
        (None, "cannot be read"),
    ],
)
def test_a_manifest_that_is_not_ours_is_refused(stored, change, message):
    path = stored / "spot_1h/BTCUSDT.manifest.json"
    text = "{" if change is None else json.dumps({**json.loads(path.read_text()), **change})
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        load_history(stored, BOTH)


@pytest.mark.parametrize("change", [{"first": "2019-01-01T00:00Z"}, {"gaps": []}, {"symbol": "BTCUSDT"}])
def test_verify_finds_a_manifest_that_does_not_describe_its_rows(stored, change):
    path = stored / "spot_1h/ETHUSDT.manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    (bad,) = take_inventory(stored).bad
    assert "does not describe the rows" in bad.problem


class Killed(BaseException):
    """Stand in for the process dying."""


def test_a_writer_killed_at_any_step_leaves_the_old_pair_or_the_new_one(market, stored, monkeypatch):
    """Die before each system call that changes the disk in turn, and read the store every time."""
    old = read_series(market.file("spot_1h/BTCUSDT"), SPOT, "BTCUSDT")
    new = old.rows_between(None, int(old.stamp_ms[200]))
    seen = set()
    for step in range(1, 30):
        with monkeypatch.context() as patch:
            left = [step]

            def dying(call, left=left):
                def wrapped(*args, **kwargs):
                    left[0] -= 1
                    if left[0] == 0:
                        raise Killed
                    return call(*args, **kwargs)

                return wrapped

            patch.setattr(os, "fsync", dying(os.fsync))
            patch.setattr(Path, "replace", dying(Path.replace))
            patch.setattr(Path, "open", dying(Path.open))
            try:
                with writing(stored):
                    write_series(stored, new, source="newer")
                finished = True
            except Killed:
                finished = False
        series, manifest = open_folder(stored).read(SPOT, "BTCUSDT")
        assert (len(series), manifest.source) in {(240, "a test"), (200, "newer")}
        seen.add(manifest.source)
        if finished:
            break
        with writing(stored):
            write_series(stored, old, source="a test")
    assert finished
    assert seen == {"a test", "newer"}
    assert not list(stored.rglob("*.next"))


def test_a_reader_overtaken_by_a_writer_reads_again(market, stored, monkeypatch):
    old = read_series(market.file("spot_1h/BTCUSDT"), SPOT, "BTCUSDT")
    contents = [(stored / "spot_1h/BTCUSDT.parquet").read_bytes()]
    with writing(stored):
        write_series(stored, old.rows_between(None, int(old.stamp_ms[200])), source="newer")
    contents.append((stored / "spot_1h/BTCUSDT.parquet").read_bytes())
    monkeypatch.setattr("eternal_engine.market_data.folder.read_bytes", lambda path: contents.pop(0))
    series, manifest = open_folder(stored).read(SPOT, "BTCUSDT")
    assert (len(series), manifest.source, contents) == (200, "newer", [])


def test_a_full_disk_is_said_and_leaves_the_old_file(market, stored, monkeypatch):
    series = read_series(market.file("spot_1h/BTCUSDT"), SPOT, "BTCUSDT").rows_between(None, None)

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError, match="No space left on device"), writing(stored):
        write_series(stored, series, source="newer")
    monkeypatch.undo()
    assert load_history(stored, BOTH).source == "a test"
    assert not list(stored.rglob("*.partial"))


def test_a_second_writer_is_refused(stored):
    code = (
        "import sys; from pathlib import Path; from eternal_engine.market_data.store import writing\n"
        f"with writing(Path({str(stored)!r})):\n    print('locked', flush=True); sys.stdin.read()"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3] / "src")}
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as other:
        assert other.stdout.readline() == "locked\n"
        with pytest.raises(RefusedError, match="another process"), writing(stored):
            pass
        other.stdin.close()
        other.wait(10)
    with writing(stored):
        pass


def test_an_import_that_would_lose_rows_is_refused_unless_replace_is_said(market, stored):
    market.edit("spot_1h/BTCUSDT", lambda c: {k: v[:100] for k, v in c.items()})
    with pytest.raises(RefusedError) as caught:
        import_folder(market.path, stored)
    assert caught.value.exit_code == 4
    assert "--replace" in caught.value.mend
    assert load_history(stored, BOTH).source == "a test"
    import_folder(market.path, stored, replace=True)
    assert load_history(stored, ("BTCUSDT",)).hours == 100


def test_a_store_imported_into_another_keeps_its_source_and_its_universe(market, stored, tmp_path):
    (stored / "universe.csv").write_text("symbol,listed,delisted\nBTCUSDT,2017-01-01,\nETHUSDT,2020-01-03,\n")
    import_folder(stored, tmp_path / "copy")
    assert load_history(tmp_path / "copy", BOTH).source == "a test"
    assert load_history(tmp_path / "copy", BOTH).fingerprint == load_history(stored, BOTH).fingerprint


def test_a_store_is_not_imported_into_itself(stored):
    with pytest.raises(UsageError):
        import_folder(stored, stored)


def test_synthetic_files_are_marked_and_never_mixed_with_real_ones(market, stored):
    series = {name: open_folder(stored).read(SPOT, name)[0] for name in BOTH}
    with writing(stored):
        write_series(stored, series["BTCUSDT"], source="synthetic seed 7", synthetic=True)
    with pytest.raises(DataError, match="mixes synthetic and real"):
        load_history(stored, BOTH)


def test_list_prints_one_json_object(stored, capsys):
    assert cli.run(["data", "list", str(stored), "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert (listed["is_store"], listed["good"], len(listed["files"])) == (True, True, 7)
    eth = next(file for file in listed["files"] if (file["dataset"], file["symbol"]) == ("spot_1h", "ETHUSDT"))
    assert (eth["rows"], eth["gaps"], eth["missing"], eth["first"]) == (237, 1, 3, "2020-01-01T00:00Z")


def test_the_import_command_uses_the_configured_data_directory(market, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ETERNAL_PATHS__DATA_DIR", "elsewhere")
    assert cli.run(["data", "import", str(market.path), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert len(printed["written"]) == 7
    assert load_history(tmp_path / "elsewhere/market", BOTH).hours == 240
