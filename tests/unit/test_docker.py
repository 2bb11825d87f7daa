"""The images and services: what an engine would refuse, and what must not be asked of one."""

import re
import shutil
import subprocess
from typing import Any

import pytest
import yaml

from tests.unit.guide_lines import ROOT
from tests.unit.understood_commands import is_understood

FOLDER = ROOT / "docker"
DOCKERFILE = (FOLDER / "Dockerfile").read_text()
COMPOSE = yaml.safe_load((FOLDER / "compose.yaml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
ON_EVERY_SERVICE = pytest.mark.parametrize("name", SERVICES)
NEEDS_THE_ARM = {"policy", "teleop", "record"}
# What we use of github.com/compose-spec/compose-spec, schema/compose-spec.json.
KEYS = {
    *("build", "cap_add", "cap_drop", "command", "deploy", "device_cgroup_rules", "environment"),
    *("group_add", "healthcheck", "image", "init", "ipc", "network_mode", "profiles", "restart"),
    *("security_opt", "shm_size", "stdin_open", "stop_grace_period", "stop_signal", "tty"),
    *("ulimits", "volumes"),
}


def without_variables(text: str) -> str:
    """Replace ${NAME:-default} by its default, as Compose does when nothing is set."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)


def stages() -> dict[str, list[tuple[str, str]]]:
    """Return the instructions of each stage of the Dockerfile."""
    joined = re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.MULTILINE).replace("\\\n", " ")
    found: dict[str, list[tuple[str, str]]] = {}
    for line in filter(str.strip, joined.splitlines()):
        word, _, rest = line.partition(" ")
        if word == "FROM":
            found[rest.split(" AS ")[1]] = [(word, rest.split(" AS ")[0])]
        else:
            found[list(found)[-1]].append((word, rest))
    return found


STAGES = stages()


def instructions(stage: str) -> list[tuple[str, str]]:
    """Return the instructions of a stage after those of the stages that it is made from."""
    source = STAGES[stage][0][1]
    return (instructions(source) if source in STAGES else []) + STAGES[stage]


def test_the_targets_are_there() -> None:
    assert {"dev", "robot", "train"} <= set(STAGES)


@pytest.mark.parametrize("stage", STAGES)
def test_base_images_are_pinned(stage: str) -> None:
    source = STAGES[stage][0][1]
    assert source in STAGES or re.search(r":[\w.-]*\d{2,}[\w.-]*(@sha256:[0-9a-f]{64})?$", source)
    assert "latest" not in source


@pytest.mark.parametrize("stage", ["dev", "robot", "train"])
def test_no_image_ends_as_root(stage: str) -> None:
    users = [rest for word, rest in instructions(stage) if word == "USER"]
    assert users[-1:] == ["mail"]


@pytest.mark.parametrize("stage", ["dev", "robot", "train"])
def test_every_image_starts_through_the_entrypoint(stage: str) -> None:
    entrypoints = [rest for word, rest in instructions(stage) if word == "ENTRYPOINT"]
    assert entrypoints == ['["/opt/mail/docker/entrypoint.sh"]']
    assert (FOLDER / "entrypoint.sh").stat().st_mode & 0o111


def copied() -> list[str]:
    """Return what the images copy from the checkout."""
    lines = [rest for parts in STAGES.values() for word, rest in parts if word == "COPY"]
    words = [line.split() for line in lines if "--from=" not in line]
    return [word for line in words for word in line[:-1] if not word.startswith("--")]


def sent_to_the_builder() -> set[str]:
    """Return what .dockerignore lets through, at the top."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert lines[1] == "*"
    return {line[1:] for line in lines if line.startswith("!")}


@pytest.mark.parametrize("source", sorted(set(copied())))
def test_every_copied_file_exists_and_reaches_the_builder(source: str) -> None:
    assert (ROOT / source).exists()
    assert source == "." or source.split("/")[0] in sent_to_the_builder()


def test_the_builder_gets_all_that_is_ours_and_nothing_else() -> None:
    listed = subprocess.run(
        ["git", "ls-tree", "--name-only", "HEAD"], cwd=ROOT, capture_output=True, text=True
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    tracked = set(listed.stdout.split())
    hidden = {name for name in tracked if name.startswith(".")}
    assert sent_to_the_builder() == tracked - hidden


def test_secrets_are_not_built_in() -> None:
    assert not re.search(r"(?i)(password|token|secret|api_key)", DOCKERFILE)


@pytest.mark.skipif(shutil.which("hadolint") is None, reason="hadolint is not installed")
def test_hadolint_has_no_complaint() -> None:
    done = subprocess.run(["hadolint", str(FOLDER / "Dockerfile")], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("script", sorted(FOLDER.glob("*.sh")), ids=lambda path: path.name)
def test_scripts_are_valid_shell(script: Any) -> None:
    assert subprocess.run(["bash", "-n", str(script)]).returncode == 0


def test_an_unknown_robot_has_no_wheel() -> None:
    done = subprocess.run(
        ["bash", str(FOLDER / "franky_wheel.sh"), "ur5"], capture_output=True, text=True
    )
    assert (done.returncode, "panda or fr3, got 'ur5'" in done.stderr) == (2, True)


def test_the_wheel_for_a_panda_is_that_of_its_server() -> None:
    text = (FOLDER / "franky_wheel.sh").read_text()
    assert 'server_version=5 wheel="franky-control==2.0.0+libfranka.0.9.2"' in text
    assert "franky-control==2.0.0\n" in (ROOT / "requirements.lock").read_text()


def test_the_services_are_there() -> None:
    assert {*NEEDS_THE_ARM, "monitor", "train"} <= set(SERVICES)


@ON_EVERY_SERVICE
def test_a_service_has_only_known_keys(name: str) -> None:
    assert set(SERVICES[name]) <= KEYS


@ON_EVERY_SERVICE
def test_a_service_has_no_more_rights_than_it_needs(name: str) -> None:
    service = SERVICES[name]
    assert "privileged" not in service
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    capabilities = ["SYS_NICE", "IPC_LOCK"] if name in NEEDS_THE_ARM else []
    assert service.get("cap_add", []) == capabilities
    assert not any("docker.sock" in str(mount) for mount in service["volumes"])


@ON_EVERY_SERVICE
def test_a_service_is_built_from_a_target_and_has_a_version(name: str) -> None:
    service = SERVICES[name]
    assert service["build"]["target"] in STAGES
    assert (FOLDER / service["build"]["context"]).resolve() == ROOT
    assert (ROOT / service["build"]["dockerfile"]).is_file()
    assert re.fullmatch(r"mail-(robot|train):\d+\.\d+\.\d+", service["image"])
    declared = set(re.findall(r"^ARG (\w+)", DOCKERFILE, re.MULTILINE))
    assert set(service["build"]["args"]) <= declared


@ON_EVERY_SERVICE
def test_the_command_of_a_service_is_understood(name: str) -> None:
    assert is_understood([without_variables(word) for word in SERVICES[name]["command"]])


@ON_EVERY_SERVICE
def test_a_bare_up_starts_nothing(name: str) -> None:
    assert SERVICES[name]["profiles"] == [name]


@ON_EVERY_SERVICE
def test_everything_mounted_is_there(name: str) -> None:
    for mount in SERVICES[name]["volumes"]:
        source = without_variables(mount["source"])
        if mount["type"] == "volume":
            assert source in COMPOSE["volumes"]
        elif source.startswith(".."):
            assert (FOLDER / source).is_dir()
            assert mount["target"] == f"/opt/mail/{source.removeprefix('../')}"
            assert mount["read_only"]


@pytest.mark.parametrize("name", sorted(NEEDS_THE_ARM))
def test_a_service_with_an_arm_keeps_real_time(name: str) -> None:
    service = SERVICES[name]
    assert service["ulimits"] == {"rtprio": 99, "memlock": -1}
    assert (service["network_mode"], service["ipc"]) == ("host", "host")
    assert service["restart"] == "no"
    assert service["stop_signal"] == "SIGINT"
    assert {"c 189:* rmw", "c 81:* rmw", "c 13:* rmw"} <= set(service["device_cgroup_rules"])
    test = service["healthcheck"]["test"]
    assert test[:2] == ["CMD", "docker/entrypoint.sh"]
    assert is_understood(test[2:])


def test_training_has_the_gpu_and_memory_to_share() -> None:
    (device,) = SERVICES["train"]["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": "all", "capabilities": ["gpu"]}
    assert SERVICES["train"]["shm_size"] == "8gb"
    assert "deploy" not in SERVICES["train-cpu"]


def test_the_rules_of_udev_give_devices_to_the_group_of_the_services() -> None:
    rules = [
        line
        for file in (FOLDER / "udev").glob("*.rules")
        for line in file.read_text().splitlines()
        if line and not line.startswith("#")
    ]
    granting = [line for line in rules if "MODE=" in line]
    assert len(granting) > 4
    assert all('GROUP="plugdev", MODE="0660"' in line for line in granting)
    assert SERVICES["policy"]["group_add"] == ["46"]
