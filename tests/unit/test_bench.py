"""Benchmarks are found by name, time in turns, and write what they promise."""

import json
from pathlib import Path

import pytest
from matplotlib import pyplot as plt
from rich.console import Console

from mail_policy import bench


def test_a_name_that_is_none_is_refused_with_the_names_that_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert {"history", "latency", "training"} <= set(bench.benchmark_names())
    assert not {"harness", "peers"} & set(bench.benchmark_names())
    assert bench.main(["latenzy"]) == 2
    said = capsys.readouterr().err
    known = "calibration, camera, filter, fuzz, history, history-cost, joins, kill9, latency"
    assert f"unknown benchmark 'latenzy'; known: {known}" in said


def test_a_benchmark_outside_a_checkout_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench, "FOLDER", tmp_path)
    assert bench.main(["latency"]) == 2
    assert "run it from a checkout" in capsys.readouterr().err


def test_candidates_are_timed_in_turns_and_results_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.bench import harness

    monkeypatch.setattr(harness, "RUNS", tmp_path)
    called: list[str] = []
    quiet = Console(quiet=True)
    candidates = {name: lambda name=name: called.append(name) for name in "ab"}
    ms = harness.medians_ms(candidates, 2, quiet, "test")
    assert called == ["a", "b"] * 3
    assert all(value >= 0.0 for value in ms.values())
    results = harness.Results("tiny", metrics={"ratio": 2.0}, rows=[{"model": "a", "ms": 1.0}])
    folder = results.save(plt.figure(), quiet)
    written = json.loads((folder / "results.json").read_text())
    assert written["metrics"] == {"ratio": 2.0}
    assert written["rows"] == [{"model": "a", "ms": 1.0}]
    assert {"processor", "torch", "cpu_capability"} <= written["environment"].keys()
    assert (folder / "tiny.png").stat().st_size > 0
