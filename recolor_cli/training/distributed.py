"""Several processes as one: ranks from torchrun, averaged gradients, batch norm over all of them.

Gradients are averaged by hand once a step instead of by DistributedDataParallel: a discriminator is
called twice a step and differentiated twice by a gradient penalty, which DDP's hooks do not allow,
and accumulation needs no special case. The averages are the same.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn

from recolor_cli.errors import UsageError

BUCKET = 16 * 2**20  # numbers that are averaged in one message
# The first process judges and saves while the others wait; NCCL alone would lose patience after ten
# minutes, and end them. One that dies is noticed at once, by torchrun.
PATIENCE = timedelta(hours=4)


@dataclass(frozen=True)
class Ranks:
    """This process among all of a run.

    Attributes:
        rank: 0 .. world - 1; 0 writes files and speaks.
        world: how many processes.
        local: number of this process on its machine: its GPU.
        beside: how many there are on its machine.
    """

    rank: int = 0
    world: int = 1
    local: int = 0
    beside: int = 1


def join() -> Ranks:
    """Meet the other processes that torchrun started; alone without torchrun."""
    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        return Ranks()
    ranks = Ranks(
        int(os.environ["RANK"]),
        int(os.environ["WORLD_SIZE"]),
        int(os.environ["LOCAL_RANK"]),
        int(os.environ.get("LOCAL_WORLD_SIZE", "1")),
    )
    if ranks.world > 1 and not dist.is_initialized():
        # Every optimiser imports this module sooner or later. Imported while a process group is
        # there, it keeps the group as its functions' default argument for good: the group's threads
        # would outlive `leave` and now and then abort the process, or hold it, while it exits.
        import torch.distributed.nn.functional

        # Networks may be on the processor of a machine with GPUs, and messages between hosts always
        # are there: NCCL carries neither.
        nccl = torch.cuda.is_available() and dist.is_nccl_available()
        dist.init_process_group("cpu:gloo,cuda:nccl" if nccl else "gloo", timeout=PATIENCE)
    return ranks


def device_of(name: str, ranks: Ranks) -> str:
    """The device of this process among all: each takes a GPU of its own.

    Args:
        name: as for `choose_device`.
        ranks: this process among all.

    Raises:
        UsageError: The device is for one process.
    """
    if ranks.world == 1:
        return name
    if name in ("auto", "cuda") and torch.cuda.is_available():
        return f"cuda:{ranks.local}"
    if name == "mps":
        raise UsageError("device 'mps' is for one process; start without torchrun, or --device cpu")
    if name.startswith("cuda:") and ranks.beside > 1:
        raise UsageError(
            f"device '{name}' is one GPU for {ranks.beside} processes; type --device cuda, and "
            "each takes its own"
        )
    # Apple's GPUs have nobody who carries messages between processes.
    return "cpu" if name == "auto" else name


def leave(ranks: Ranks) -> None:
    """Part from the other processes, all at once.

    The first one still judges and saves when the others have nothing left to do. Their connections
    stay open until it is here: a closed one can abort whoever is still reading.
    """
    if ranks.world > 1 and dist.is_initialized():
        dist.barrier()
        dist.destroy_process_group()


def average_gradients(parameters: Iterable[nn.Parameter], ranks: Ranks) -> None:
    """Replace every gradient by its mean over all processes."""
    if ranks.world == 1:
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    bucket: list[Tensor] = []
    for index, gradient in enumerate(gradients):
        bucket.append(gradient)
        if sum(g.numel() for g in bucket) >= BUCKET or index == len(gradients) - 1:
            flat = torch.cat([g.reshape(-1) for g in bucket])
            dist.all_reduce(flat)
            flat /= ranks.world
            for g, mean in zip(bucket, flat.split([g.numel() for g in bucket]), strict=True):
                g.copy_(mean.view_as(g))
            bucket = []


def average_values(values: Mapping[str, float], ranks: Ranks) -> dict[str, float]:
    """The mean of each value over all processes."""
    if ranks.world == 1:
        return dict(values)
    flat = torch.tensor(list(values.values()), dtype=torch.float64)
    dist.all_reduce(flat)
    return dict(zip(values, (flat / ranks.world).tolist(), strict=True))


def any_rank(flags: Sequence[bool], ranks: Ranks) -> list[bool]:
    """Whether each flag is up in any process.

    Hosts ask hosts, in one message: a GPU that had to answer would be waited for in every step.
    """
    if ranks.world == 1:
        return list(flags)
    up = torch.tensor(flags, dtype=torch.float32)
    dist.all_reduce(up, op=dist.ReduceOp.MAX)
    return [flag > 0 for flag in up.tolist()]


class _SumOverRanks(torch.autograd.Function):
    """all_reduce whose gradient is all_reduce, and so on: a penalty differentiates it twice."""

    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:  # noqa: ARG004  nothing needs to be kept
        x = x.contiguous().clone()
        dist.all_reduce(x)
        return x

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> Tensor:  # noqa: ARG004
        return _sum_over_ranks(gradient)


def _sum_over_ranks(x: Tensor) -> Tensor:
    total: Tensor = _SumOverRanks.apply(x)  # type: ignore[no-untyped-call]
    return total


class SyncedBatchNorm2d(nn.BatchNorm2d):
    """Batch norm whose statistics are those of the whole batch over all processes.

    torch's SyncBatchNorm does the same on GPUs only. Every process must hold equally many pixels.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalise x (B, C, H, W); statistics in float32."""
        if not self.training:
            return super().forward(x)
        values = x.float()
        sums = torch.cat((values.mean((0, 2, 3)), (values * values).mean((0, 2, 3))))
        mean, square = (_sum_over_ranks(sums) / dist.get_world_size()).chunk(2)
        variance = (square - mean * mean).clamp_min(0)
        if self.track_running_stats and self.running_mean is not None:
            assert self.running_var is not None
            assert self.num_batches_tracked is not None
            count = x.numel() / x.shape[1] * dist.get_world_size()
            momentum = self.momentum if self.momentum is not None else 0.1
            with torch.no_grad():
                self.num_batches_tracked += 1
                self.running_mean.lerp_(mean, momentum)
                self.running_var.lerp_(variance * (count / max(count - 1, 1)), momentum)
        scale = torch.rsqrt(variance + self.eps)
        shift = -mean * scale
        if self.affine:
            scale, shift = scale * self.weight, shift * self.weight + self.bias
        normed: Tensor = values * scale[:, None, None] + shift[:, None, None]
        return normed.to(x.dtype)


def synchronize_norms(network: nn.Module, ranks: Ranks) -> None:
    """Let every batch norm of the network see all processes' pictures, in place."""
    if ranks.world > 1:
        for module in network.modules():
            if type(module) is nn.BatchNorm2d:
                module.__class__ = SyncedBatchNorm2d  # same parameters, same state, other forward
