"""What training needs of the machine: device, precision, and the other processes of a run.

Lightning Fabric does the work, and is known to this file only. It starts from the variables that
torchrun sets, so one process, many GPUs and many machines differ in the command line only.

The policy is not wrapped. DistributedDataParallel sums gradients during the one backward pass
that follows `forward`; ours is used through other methods, and with memory it has many backward
passes per step. So gradients are summed once, when all of them are there.
"""

import os
from collections.abc import Iterable
from contextlib import AbstractContextManager
from datetime import timedelta
from enum import StrEnum

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy
from torch import Tensor

from mail_policy.data.batch import Batch
from mail_policy.data.batches import Share
from mail_policy.training.config import Precision

_FABRIC_NAMES = {
    Precision.FP32: "32-true",
    Precision.BF16: "bf16-mixed",
    Precision.FP16: "16-mixed",
}
# One process reads a new data set, or measures and saves, while the others wait.
_LONGEST_WAIT = timedelta(hours=12)


class TrainingError(RuntimeError):
    """Training cannot go on. The text says why and what to change."""


class Device(StrEnum):
    """Where to compute."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


class Engine:
    """Device, precision and the exchange of gradients of one process of a run.

    Args:
        precision: Of the image encoders, which do most of the work.
        device: AUTO takes CUDA where there is some.

    Raises:
        TrainingError: This machine cannot do it.
    """

    def __init__(self, precision: Precision, device: Device = Device.AUTO) -> None:
        has_cuda = torch.cuda.is_available()
        if device is Device.CUDA and not has_cuda:
            raise TrainingError("torch finds no CUDA device; use --device cpu, or install CUDA")
        on_cuda = has_cuda and device is not Device.CPU
        if precision is Precision.FP16 and not on_cuda:
            raise TrainingError("precision fp16 needs CUDA; use bf16 or fp32 on a processor")
        processes = int(os.environ.get("WORLD_SIZE", "1"))
        # One machine has so many of them; a process without torchrun is alone.
        local = int(os.environ.get("LOCAL_WORLD_SIZE", str(processes)))
        self._fabric = Fabric(
            accelerator="cuda" if on_cuda else "cpu",
            strategy="auto" if processes == 1 else DDPStrategy(timeout=_LONGEST_WAIT),
            devices=local,
            num_nodes=processes // local,
            precision=_FABRIC_NAMES[precision],  # type: ignore[arg-type]
        )
        self._fabric.launch()
        # fp16 gradients overflow now and then; the engine then leaves out the step.
        self.may_skip_steps = precision is Precision.FP16

    @property
    def device(self) -> torch.device:
        """Where this process computes."""
        return self._fabric.device

    @property
    def device_name(self) -> str:
        """The device in words."""
        if self.device.type == "cuda":
            return torch.cuda.get_device_name(self.device)
        return "cpu"

    @property
    def share(self) -> Share:
        """Which segments of each batch this process works on."""
        return Share(self._fabric.global_rank, self._fabric.world_size)

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that writes."""
        return self._fabric.global_rank == 0

    def first_goes_first(self) -> AbstractContextManager[None]:
        """Return a context that the first process of a machine has to itself, then the others."""
        context: AbstractContextManager[None] = self._fabric.rank_zero_first(local=True)
        return context

    def wait_for_all(self) -> None:
        """Return when all processes are here."""
        self._fabric.barrier()

    def autocast(self) -> AbstractContextManager[None]:
        """Return a context in which torch computes with the precision of the run."""
        context: AbstractContextManager[None] = self._fabric.autocast()
        return context

    def staged(self, batch: Batch) -> Batch:
        """Return a batch from which copies to the device are fast; may be called in a thread."""
        return batch.moved(Tensor.pin_memory) if self.device.type == "cuda" else batch

    def to_device(self, batch: Batch) -> Batch:
        """Return a batch on the device."""
        return batch.moved(lambda tensor: tensor.to(self.device, non_blocking=True))

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of a loss to those of the parameters."""
        self._fabric.backward(loss)

    def sum_gradients(self, parameters: Iterable[Tensor], loss: float) -> float:
        """Replace gradients by their sums over all processes; return the sum of the losses."""
        if self._fabric.world_size == 1:
            return loss
        gradients = [p.grad for p in parameters if p.grad is not None]
        # One message, because each costs a round through all machines.
        flat = torch.cat([*(g.flatten() for g in gradients), gradients[0].new_tensor([loss])])
        self._fabric.all_reduce(flat, reduce_op="sum")
        sums = torch.split(flat[:-1], [gradient.numel() for gradient in gradients])
        for gradient, summed in zip(gradients, sums, strict=True):
            gradient.copy_(summed.view_as(gradient))
        return float(flat[-1])

    def clip_gradients(
        self, policy: torch.nn.Module, optimiser: torch.optim.Optimizer, largest: float
    ) -> float:
        """Shorten the gradient to a norm; return the norm that it had."""
        norm = self._fabric.clip_gradients(
            policy, optimiser, max_norm=largest, error_if_nonfinite=False
        )
        return float(norm) if norm is not None else 0.0

    def step(self, optimiser: torch.optim.Optimizer) -> None:
        """Change the weights, unless gradients in half precision overflowed."""
        self._fabric.strategy.optimizer_step(optimiser)

    def state(self) -> dict[str, float]:
        """Return what a run needs to go on: how gradients are scaled, if they are."""
        return {name: float(v) for name, v in self._fabric.strategy.precision.state_dict().items()}

    def load_state(self, state: dict[str, float]) -> None:
        """Take over a `state`."""
        current = self._fabric.strategy.precision.state_dict()
        typed = {name: type(current[name])(value) for name, value in state.items()}
        self._fabric.strategy.precision.load_state_dict(typed)
