"""A kernel that does not compile must be noticed, not replaced by torch or by an old build."""

import shutil
from pathlib import Path

import pytest

from mail_policy.kernels import library

FOLDER = Path(library.__file__).parent
SOURCES = sorted(path.stem for path in FOLDER.glob("*.cpp"))


@pytest.mark.skipif(
    not library.kernels_are_wanted() or shutil.which("c++") is None,
    reason="there is no C++ compiler, or kernels are switched off",
)
@pytest.mark.parametrize("source", SOURCES)
def test_every_kernel_is_built_from_its_newest_source(source: str) -> None:
    loaded = library.load_library(source)
    assert loaded is not None, "see .venv/logs/pip.log"
    files = [FOLDER / f"{source}.cpp", *FOLDER.glob("*.hpp")]
    newest_s = max(path.stat().st_mtime for path in files)
    assert Path(loaded._name).stat().st_mtime >= newest_s, "run make setup"
