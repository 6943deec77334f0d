"""PyTorch with forward and backward pass through ``torch.compile``, run after run.

The validation pass, one call an epoch, is not compiled. Adam is the fused one.
"""

from __future__ import annotations

from benchmarks.peers.task import Task, Turn
from benchmarks.peers.torch_eager import loop_turn


def start(task: Task) -> Turn:
    """A turn of epochs; the loss is compiled for the full batch and for the last one."""
    import torch

    # Else programs of another task would be found again, and there may be eight in all.
    torch._dynamo.reset()
    return loop_turn(task, lambda function: torch.compile(function, dynamic=False))
