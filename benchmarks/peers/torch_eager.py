"""PyTorch as it comes, with fused Adam, run after run.

Batches are rows of a tensor in memory, which is several times faster than a ``DataLoader``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from benchmarks.peers.clock import epoch_by_epoch
from benchmarks.peers.task import Task, Turn

Tensor = Any


def start(task: Task) -> Turn:
    """A turn of epochs, each a loop over the batches."""
    return loop_turn(task, lambda function: function)


def loop_turn(task: Task, compile_loss: Callable[[Any], Any], device: str = "cpu") -> Turn:
    """A turn of epochs; ``compile_loss`` may replace the function (x, added) → loss."""
    import torch
    from torch.nn import functional

    started = time.perf_counter()
    torch.manual_seed(0)
    arrays = (task.x, task.validation, *map(task.offset, (len(task.x), len(task.validation))))
    x, validation, offset, offset_validation = (torch.from_numpy(a).to(device) for a in arrays)
    encoder, decoder = (half.to(device) for half in network(task, x.shape[1]))
    parameters = [*encoder.parameters(), *decoder.parameters()]
    optimizer = torch.optim.Adam(parameters, 1e-3, fused=True)

    def loss_of(batch: Tensor, added: Tensor) -> Tensor:
        code = functional.normalize(encoder(batch), dim=1)
        return functional.binary_cross_entropy_with_logits(decoder(code + added), batch)

    training_loss = compile_loss(loss_of)

    def epoch() -> float:
        order = torch.randperm(len(x), device=device)
        total = torch.zeros((), device=device)
        for rows in order.split(task.batch_size):
            batch = x[rows]
            if task.stddev:
                added = task.stddev * torch.randn(len(rows), task.latent_dim, device=device)
            else:
                added = offset[rows]
            optimizer.zero_grad()
            loss = training_loss(batch, added)
            loss.backward()
            optimizer.step()
            total += loss.detach() * len(rows)
        with torch.no_grad():
            return float(loss_of(validation, offset_validation))

    return epoch_by_epoch(task, started, epoch, runs=1)


def network(task: Task, features: int) -> tuple[Any, Any]:
    """Encoder and decoder, with Glorot uniform kernels and no biases at first, as Keras has."""
    from torch import nn

    widths = task.widths(features)
    code = len(task.hidden) + 1
    halves = []
    for half in (widths[: code + 1], widths[code:]):
        layers: list[Any] = []
        for inputs, outputs in pairwise(half):
            dense = nn.Linear(inputs, outputs)
            nn.init.xavier_uniform_(dense.weight)
            nn.init.zeros_(dense.bias)
            layers += [dense, nn.ReLU()]
        halves.append(nn.Sequential(*layers[:-1]))
    return halves[0], halves[1]
