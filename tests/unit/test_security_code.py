"""What no code of ours may do: run what a file or a message says, or guess a free file name."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = (
    "mail_policy",
    "calibration",
    "data_collection",
    "launch",
    "ros2_ws/src",
    "ros2_ws/tools",
    "tests",
)
# Each makes a program of bytes that somebody else wrote.
FORBIDDEN_MODULES = {
    "pickle",
    "_pickle",
    "cPickle",
    "cloudpickle",
    "dill",
    "joblib",
    "jsonpickle",
    "marshal",
    "shelve",
}
FORBIDDEN_CALLS = {
    "eval": "runs text",
    "exec": "runs text",
    "compile": "runs text",
    "os.system": "hands text to a shell",
    "os.popen": "hands text to a shell",
    "tempfile.mktemp": "names a file that another program can make first",
    "torch.load": "unpickles",
    "torch.hub.load": "downloads and runs code",
    "torch.jit.load": "runs the program of a file",
    "pandas.read_pickle": "unpickles",
    "numpy.loads": "unpickles",
    "yaml.load": "builds any object; use yaml.safe_load",
    "yaml.load_all": "builds any object; use yaml.safe_load_all",
    "yaml.full_load": "builds any object; use yaml.safe_load",
    "yaml.unsafe_load": "builds any object; use yaml.safe_load",
}
SHORT_NAMES = {"np": "numpy", "pd": "pandas"}
# The one file that must make a pickle, to prove that the reader of such files does not run it.
MAKES_A_PICKLE = {
    "tests/unit/test_libero_init_states.py: torch.load unpickles",
}


def dotted(node: ast.expr) -> str:
    """Return a name such as "yaml.load", "" if the expression is no plain name."""
    if isinstance(node, ast.Name):
        return SHORT_NAMES.get(node.id, node.id)
    if isinstance(node, ast.Attribute) and (parent := dotted(node.value)):
        return f"{parent}.{node.attr}"
    return ""


def is_constant(node: ast.Call, keyword: str, value: object) -> bool:
    return any(
        word.arg == keyword and isinstance(word.value, ast.Constant) and word.value.value is value
        for word in node.keywords
    )


def imports(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (name.name for name in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
        yield node.module
        # `from os import system` would hide a call behind a short name.
        yield from (
            f"{node.module}.{name.name}"
            for name in node.names
            if f"{node.module}.{name.name}" in FORBIDDEN_CALLS
        )


def offences(source: str) -> list[str]:
    """List what a program does that none of ours may do."""
    found = []
    for node in ast.walk(ast.parse(source)):
        for module in imports(node):
            if module.split(".")[0] in FORBIDDEN_MODULES or module in FORBIDDEN_CALLS:
                found.append(f"imports {module}")
        if not isinstance(node, ast.Call):
            continue
        name = dotted(node.func)
        if name in FORBIDDEN_CALLS:
            found.append(f"{name} {FORBIDDEN_CALLS[name]}")
        if name in ("numpy.load", "numpy.lib.format.read_array") and not is_constant(
            node, "allow_pickle", False
        ):
            found.append(f"{name} without allow_pickle=False")
        for keyword in ("shell", "allow_pickle", "trust_remote_code"):
            if is_constant(node, keyword, True):
                found.append(f"{keyword}=True")
        if is_constant(node, "weights_only", False) and name != "torch.load":
            found.append("weights_only=False")
    return found


def test_none_of_our_code_can_be_made_to_run_what_it_reads() -> None:
    files = [file for folder in FOLDERS for file in sorted((ROOT / folder).rglob("*.py"))]
    assert len(files) > 300, "the folders of our code have moved; correct FOLDERS"
    found = {
        f"{file.relative_to(ROOT)}: {offence}"
        for file in files
        for offence in offences(file.read_text())
    }
    assert found - MAKES_A_PICKLE == set()
    assert found >= MAKES_A_PICKLE, "take the exception back"


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "def f():\n    from joblib import load",
        "import marshal as m",
        "import torch\ntorch.load(f, weights_only=True)",
        "from torch import load",
        "from torch.hub import load",
        "np.load(f)",
        "np.load(f, allow_pickle=True)",
        "np.load(f, allow_pickle=flag)",
        "numpy.save(f, a, allow_pickle=True)",
        "yaml.load(t, Loader=yaml.Loader)",
        "yaml.unsafe_load(t)",
        "eval(t)",
        "exec(t)",
        "subprocess.run(c, shell=True)",
        "from os import system",
        "os.popen(c)",
        "tempfile.mktemp()",
        "load_dataset(n, trust_remote_code=True)",
    ],
)
def test_an_offence_is_found(source: str) -> None:
    assert offences(source) != []


@pytest.mark.parametrize(
    "source",
    [
        "np.load(f, allow_pickle=False)",
        "yaml.safe_load(t)",
        "model.eval()",
        "re.compile(p)",
        "subprocess.run([a, b])",
        "safetensors.torch.load_file(f)",
    ],
)
def test_what_is_allowed_is_not_found(source: str) -> None:
    assert offences(source) == []


_WATCHED = """
import sys
from pathlib import Path

def refuse(name):
    def call(*words, **more):
        raise AssertionError(f"{name} was called on a file's bytes")
    return call

import pickle, _pickle
import torch
from data_collection.manifest import load_manifest as load_episode
from data_collection.message_reader import iterate_messages
from mail_policy.core.config import load_config
from mail_policy.inference.predictor import Predictor
from mail_bringup.places import config_folder
from mail_franka.arm_config import ArmConfig

class NoUnpickler:
    # A class, because torch derives from it when it is imported.
    __init__ = refuse("Unpickler")

for module in (pickle, _pickle):
    module.load, module.loads, module.Unpickler = refuse("load"), refuse("loads"), NoUnpickler
torch.load = refuse("torch.load")

checkpoint, episode = map(Path, sys.argv[1:])
Predictor(checkpoint).warm_up()
load_episode(episode)
assert sum(1 for _ in iterate_messages(episode)) > 10
load_config(ArmConfig, config_folder() / "arm.yaml")
print("loaded")
"""


def test_loading_a_checkpoint_an_episode_and_settings_never_unpickles(episodes) -> None:
    folder = episodes.record(6)
    checkpoint = ROOT / "mail_policy" / "checkpoints" / "open_top_drawer"
    done = subprocess.run(
        [sys.executable, "-c", _WATCHED, str(checkpoint), str(folder)],
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.stdout.strip() == "loaded", done.stderr[-2000:]
