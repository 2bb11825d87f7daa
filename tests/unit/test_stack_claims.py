"""Claims and records: two stacks side by side do not meet, and nothing outlives a crash."""

import contextlib
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from mail_bringup import claims
from mail_bringup.records import StackRecord, announced, running_stacks

RECORD = StackRecord(
    run_id="mail1",
    stack="policy",
    pid=1,
    domain_id=7,
    namespace="",
    robot="sim",
    robot_ip="127.0.0.9",
    task="open drawer",
)
HOLD_A_CLAIM = """
import sys
from pathlib import Path
from mail_bringup import claims
from mail_bringup.records import StackRecord, announced
folder = Path(sys.argv[1])
claim = claims.try_claim(folder, "domain", "7")
record = StackRecord(run_id="mail2", stack="policy", pid=2, domain_id=7, namespace="",
                     robot="sim", robot_ip="127.0.0.8", task="")
with announced(folder, record):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_claimed_value_is_not_given_twice(tmp_path: Path) -> None:
    with claims.claim_address(tmp_path) as first, claims.claim_address(tmp_path) as second:
        assert first.value != second.value


def test_a_claim_is_given_back(tmp_path: Path) -> None:
    claim = claims.try_claim(tmp_path, "domain", "7")
    assert claim is not None
    assert claims.try_claim(tmp_path, "domain", "7") is None
    with claim:
        pass
    with claims.try_claim(tmp_path, "domain", "7") or contextlib.nullcontext() as again:
        assert again is not None


def test_an_address_whose_port_is_served_is_passed_over(tmp_path: Path) -> None:
    with claims.claim_address(tmp_path) as claim:
        address = claim.value
    with socket.create_server((address, claims.FCI_PORT)):
        assert not claims.address_is_free(address)
        with claims.claim_address(tmp_path) as other:
            assert other.value != address


def test_twins_of_tests_and_of_stacks_respect_each_other(tmp_path: Path) -> None:
    with (
        claims.claim_address(tmp_path) as claim,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other,
        pytest.raises(OSError, match="in use"),
    ):
        # As mail_sim.world.address reserves it.
        other.bind(f"\0mail/robot/{claim.value}")


def test_domains_stay_below_the_ports_that_linux_hands_out(tmp_path: Path) -> None:
    with claims.claim_domain(tmp_path) as claim:
        assert 1 <= int(claim.value) <= 101


def test_a_domain_is_not_used_again_at_once(tmp_path: Path) -> None:
    values = []
    for _ in range(5):
        with claims.claim_domain(tmp_path) as claim:
            values.append(claim.value)
    assert len(set(values)) == 5


def test_run_ids_differ() -> None:
    assert claims.make_run_id() != claims.make_run_id()


def test_a_running_stack_is_listed_and_then_forgotten(tmp_path: Path) -> None:
    with announced(tmp_path, RECORD):
        assert running_stacks(tmp_path) == [RECORD]
    assert running_stacks(tmp_path) == []


def test_a_killed_process_leaves_neither_claim_nor_record(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD_A_CLAIM, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert claims.try_claim(tmp_path, "domain", "7") is None
        assert [record.run_id for record in running_stacks(tmp_path)] == ["mail2"]
        holder.kill()
    assert running_stacks(tmp_path) == []
    claim = claims.try_claim(tmp_path, "domain", "7")
    assert claim is not None
    with claim:
        pass


@pytest.mark.parametrize("content", ["{", "[]", '{"run_id": "x"}'])
def test_an_unreadable_record_is_no_stack(tmp_path: Path, content: str) -> None:
    (tmp_path / "stack-x.json").write_text(content)
    assert running_stacks(tmp_path) == []
