"""If there is a GPU: can the policy use it?"""

import sys
from dataclasses import dataclass

from mail_bringup.doctor.finding import Finding, ok, warning
from mail_bringup.doctor.machine import Machine, output_of

_QUERY = ("nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader")
_QUERY_LIMIT_S = 2.0
_TORCH = (sys.executable, "-c", "import torch; print(torch.cuda.is_available())")
# Importing torch takes seconds; both together must stay below the limit of a check.
_TORCH_LIMIT_S = 4.0
_PCI_NVIDIA = "0x10de"
_PCI_DISPLAY_CLASS = "0x03"


@dataclass(frozen=True, kw_only=True, slots=True)
class GpuFacts:
    """Graphics cards by NVIDIA.

    Attributes:
        is_present: One is in the machine.
        description: Name and driver, as nvidia-smi says; "" if it does not answer.
        torch_sees_it: PyTorch can use it; None if that was not asked or got no answer.
    """

    is_present: bool
    description: str
    torch_sees_it: bool | None


def gather(machine: Machine) -> GpuFacts:
    """Look for cards, and ask the driver and PyTorch if there are some."""
    is_present = any(
        machine.text(device / "vendor") == _PCI_NVIDIA
        and machine.text(device / "class").startswith(_PCI_DISPLAY_CLASS)
        for device in machine.paths("sys/bus/pci/devices/*")
    )
    description = (output_of(_QUERY, _QUERY_LIMIT_S) or "") if is_present else ""
    answer = output_of(_TORCH, _TORCH_LIMIT_S) if description else None
    return GpuFacts(
        is_present=is_present,
        description=description.partition("\n")[0],
        torch_sees_it=None if answer is None else answer == "True",
    )


def judge(facts: GpuFacts, *, is_realtime: bool) -> list[Finding]:
    """Judge driver and PyTorch; without a card the policy runs on the processor.

    Args:
        facts: What was found.
        is_realtime: The kernel is built with PREEMPT_RT, for which NVIDIA's driver is not made.
    """
    if not facts.is_present:
        return [ok("gpu", "no NVIDIA card; the policy runs on the processor")]
    if not facts.description:
        remedy = "sudo ubuntu-drivers install, then reboot"
        if is_realtime:
            remedy = f"with a real-time kernel: export IGNORE_PREEMPT_RT_PRESENCE=1; {remedy}"
        wanted = "a driver that answers nvidia-smi"
        return [warning("gpu", "a card, but nvidia-smi does not answer", wanted, remedy)]
    if not facts.torch_sees_it:
        wanted = "PyTorch with CUDA"
        remedy = "make setup with TORCH_EXTRA for the CUDA of this driver, see make help"
        found = f"{facts.description}, but PyTorch does not see it"
        return [warning("gpu", found, wanted, remedy)]
    return [ok("gpu", facts.description)]
