"""Several processes that train one network together, each with questions of its own."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier

import torch
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

WORKERS = 2  # part of what the seed stands for: another number gives another model
MEET = 10  # steps that each takes alone before the weights are averaged
PATIENCE_S = 600.0


@dataclass(frozen=True)
class Crew:
    """One process among the others.

    They average their weights every few steps, which needs no step in time with the others: on
    shared processors that costs less than two threads that wait for each other in every product.
    The result does not depend on who is faster.
    """

    rank: int
    barrier: Barrier
    table: Tensor

    def meet(self, model: nn.Module, step: int, last: bool = False) -> None:
        """Average the weights of all processes, every ``MEET`` steps and after the last."""
        if step % MEET != MEET - 1 and not last:
            return
        with torch.no_grad():
            self.table[self.rank].copy_(parameters_to_vector(model.parameters()))
            self.barrier.wait(PATIENCE_S)
            vector_to_parameters(self.table.mean(0), model.parameters())
            self.barrier.wait(PATIENCE_S)


def run_crew(model: nn.Module, work: Callable[[Crew], None]) -> None:
    """Do the work in every process, in this one too; each has its own copy of the network."""
    fork = multiprocessing.get_context("fork")
    size = sum(weight.numel() for weight in model.parameters())
    table = torch.zeros(WORKERS, size).share_memory_()
    barrier = fork.Barrier(WORKERS)
    crews = [Crew(rank, barrier, table) for rank in range(WORKERS)]
    others = [fork.Process(target=work, args=(crew,), daemon=True) for crew in crews[1:]]
    for process in others:
        process.start()
    work(crews[0])
    for process in others:
        process.join()
