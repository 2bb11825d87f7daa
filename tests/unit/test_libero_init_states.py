"""Initial states of LIBERO: read to the last bit, and never run."""

import contextlib
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mail_policy.evaluation.libero_init_states import InitialStatesError, read_initial_states
from tests.unit.libero_rig import write_initial_states

STATES = np.random.default_rng(0).normal(size=(50, 79))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    torch.save(STATES, tmp_path / "task.pruned_init")
    return tmp_path / "task.pruned_init"


def rewrite(file: Path, change) -> None:
    """Replace the pickle of a file by a changed one."""
    with zipfile.ZipFile(file) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, change(content) if name.endswith("data.pkl") else content)


def test_states_are_read_to_the_last_bit(file: Path) -> None:
    np.testing.assert_array_equal(read_initial_states(file), STATES)


def test_files_of_the_benchmark_were_written_by_an_older_numpy(file: Path) -> None:
    rewrite(file, lambda pickle: pickle.replace(b"numpy._core.", b"numpy.core."))
    with zipfile.ZipFile(file) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("data.pkl"))
        assert b"numpy.core.multiarray" in archive.read(name)
    np.testing.assert_array_equal(read_initial_states(file), STATES)


class Bomb:
    """Unpickling it makes a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_pickle_that_would_run_something_is_refused_and_not_run(tmp_path: Path) -> None:
    file, trace = tmp_path / "task.pruned_init", tmp_path / "was_here"
    torch.save(Bomb(trace), file)
    with pytest.raises(InitialStatesError, match="something else than an array"):
        read_initial_states(file)
    assert not trace.exists()
    torch.load(file, weights_only=False)
    assert trace.exists(), "the file must be one that runs something when it is unpickled"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (STATES.astype(np.float32), "something else"),
        (STATES.astype(">f8"), "something else"),
        (np.asfortranarray(STATES), "something else"),
        (STATES[0], "something else"),
        (STATES[None], "something else"),
        (STATES.astype(object), "something else"),
        ({"states": STATES}, "something else"),
        (torch.from_numpy(STATES), "something else"),
        (np.where(STATES > 2.0, np.nan, STATES), "no numbers"),
        (np.zeros((0, 79)), "something else"),
    ],
)
def test_anything_but_rows_of_numbers_is_refused(tmp_path: Path, content, says: str) -> None:
    torch.save(content, tmp_path / "a")
    with pytest.raises(InitialStatesError, match=says):
        read_initial_states(tmp_path / "a")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (b"cnumpy\nndarray\n", b"cos\nsystem\n", "something else"),
        (b"K2KO", b"K3KO", "do not fit"),  # 51 states instead of 50
        (b"K2KO", b"NKO", "something else|no shape"),
        (b"K2KO", b"J\xff\xff\xff\xffKO", "cannot be right"),
        (b".", b"", "is no file of initial states"),
    ],
)
def test_a_program_that_differs_in_one_word_is_refused(
    file: Path, old: bytes, new: bytes, says: str
) -> None:
    def change(pickle: bytes) -> bytes:
        at = pickle.rfind(old) if old == b"." else pickle.find(old)
        return pickle if at < 0 else pickle[:at] + new + pickle[at + len(old) :]

    before = file.read_bytes()
    rewrite(file, change)
    assert file.read_bytes() != before
    with pytest.raises(InitialStatesError, match=says):
        read_initial_states(file)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_file_that_was_cut_gets_a_verdict(file: Path, share: float) -> None:
    file.write_bytes(file.read_bytes()[: int(share * file.stat().st_size)])
    with pytest.raises(InitialStatesError, match="install hf-libero again"):
        read_initial_states(file)


def test_a_file_that_is_missing_or_claims_to_be_huge_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InitialStatesError, match="No such file"):
        read_initial_states(tmp_path / "nowhere")
    with zipfile.ZipFile(tmp_path / "huge", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", b"\0" * (65 << 20))
    with pytest.raises(InitialStatesError, match="limit is"):
        read_initial_states(tmp_path / "huge")


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=4))
def test_noise_gives_a_verdict_or_other_numbers(
    tmp_path: Path, changes: list[tuple[int, int]]
) -> None:
    file = tmp_path / "noisy"
    write_initial_states(file, count=2)

    def spoil(pickle: bytes) -> bytes:
        spoiled = bytearray(pickle)
        for place, value in changes:
            spoiled[place % len(spoiled)] = value
        return bytes(spoiled)

    rewrite(file, spoil)
    with contextlib.suppress(InitialStatesError):
        assert read_initial_states(file).ndim == 2
