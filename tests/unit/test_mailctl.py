"""The one command: its table, its hints, and what it imports."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mail_policy import mailctl

ROOT = Path(__file__).parents[2]


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert mailctl.main(["--help"]) == 0
    text = capsys.readouterr().out
    for name, (_, explanation) in mailctl.COMMANDS.items():
        assert f"  {name} " in text
        assert explanation in text


def test_without_a_command_the_usage_is_shown_and_it_is_an_error() -> None:
    assert mailctl.main([]) == mailctl.USAGE_EXIT_CODE


def test_an_unknown_command_gets_the_nearest_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert mailctl.main(["strat"]) == mailctl.USAGE_EXIT_CODE
    assert "unknown command 'strat'; did you mean 'start'?" in capsys.readouterr().err


def test_a_missing_package_is_named_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setitem(mailctl.COMMANDS, "train", ("torch:train", ""))
    assert mailctl.main(["train"]) == mailctl.USAGE_EXIT_CODE
    assert "pip install -e '.[train]'" in capsys.readouterr().err


def test_a_mistake_of_ours_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(mailctl.COMMANDS, "train", ("json.no_such_module:main", ""))
    with pytest.raises(ModuleNotFoundError, match=r"json\.no_such_module"):
        mailctl.main(["train"])


@pytest.mark.parametrize(("result", "code"), [(None, 0), (0, 0), (3, 3)])
def test_the_exit_code_is_that_of_the_function(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, result: int | None, code: int
) -> None:
    (tmp_path / "fake_command.py").write_text(f"def main(words):\n    return {result}\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "fake_command", raising=False)
    monkeypatch.setitem(mailctl.COMMANDS, "train", ("fake_command:main", ""))
    assert mailctl.main(["train"]) == code


def test_an_interrupt_is_no_traceback_even_while_a_command_is_imported(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "slow_command.py").write_text("raise KeyboardInterrupt\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(mailctl.COMMANDS, "train", ("slow_command:main", ""))
    assert mailctl.main(["train"]) == mailctl.INTERRUPTED_EXIT_CODE
    assert capsys.readouterr().err == "mailctl train: interrupted\n"


def test_a_command_started_in_the_background_can_be_interrupted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    code = (
        "import signal\n"
        "def main(words):\n"
        "    return signal.getsignal(signal.SIGINT) is signal.default_int_handler\n"
    )
    (tmp_path / "background_command.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(mailctl.COMMANDS, "train", ("background_command:main", ""))
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert mailctl.main(["train"]) == 1
    finally:
        signal.signal(signal.SIGINT, before)


def test_help_imports_neither_ros_nor_torch() -> None:
    code = (
        "import sys; from mail_policy import mailctl; mailctl.main(['--help']); "
        "sys.exit(bool({'rclpy', 'torch', 'numpy', 'mail_bringup'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)


@pytest.mark.parametrize("target", sorted({target for target, _ in mailctl.COMMANDS.values()}))
def test_every_command_leads_to_a_function_in_the_sources(target: str) -> None:
    module, function = target.split(":")
    relative = Path(*module.split(".")).with_suffix(".py")
    candidates = [ROOT / relative, *ROOT.glob(f"ros2_ws/src/*/{relative}")]
    (file,) = [path for path in candidates if path.exists()]
    text = file.read_text()
    assert f"def {function}(" in text or f"\n{function} = " in text
