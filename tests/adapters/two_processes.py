"""What each of two processes trains and measures: a module of few imports, which both import again."""

from __future__ import annotations

import os

import torch
import torch.distributed as dist
from torch import nn

import isoloss as il
from isoloss.adapters.torch import Criterion, Meter

METRICS = [
    il.mse, il.rmse, il.mae, il.max_error, il.r2_score, il.explained_variance_score,
    il.pearson_correlation, il.median_absolute_error, il.spearman,
]  # fmt: skip


def samples(n=70, seed=0):
    """Predictions, targets with a nan that the mask leaves out, weights with zeros, and the mask."""
    rng = torch.Generator().manual_seed(seed)
    p, t = torch.randn(n, generator=rng), torch.randn(n, generator=rng)
    w = torch.randint(0, 4, (n,), generator=rng).float()
    where = torch.rand(n, generator=rng) < 0.8
    t[~where] = float("nan")
    return p, t, w, where


def filled(meter, arrays, size=16):
    for batch in zip(*(array.split(size) for array in arrays), strict=True):
        meter.update(*batch)
    return meter


class Model(nn.Module):
    """A model that returns its loss, whose shape is learnt with it."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.Linear(3, 1)
        self.criterion = Criterion(il.Barron, alpha=nn.Parameter(torch.tensor(1.5)))

    def forward(self, x, y):
        return self.criterion(self.linear(x), y)


def data():
    rng = torch.Generator().manual_seed(1)
    return torch.randn(16, 3, generator=rng), torch.randn(16, 1, generator=rng)


def process(rank, port, results):
    """Train with DistributedDataParallel, and meter what one process or both saw."""
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    try:
        x, y = data()
        mine = slice(0, 8) if rank == 0 else slice(8, 16)
        model = nn.parallel.DistributedDataParallel(Model())
        model(x[mine], y[mine]).backward()
        gradients = [parameter.grad.tolist() for parameter in model.parameters()]
        p, t, w, where = samples()
        meter, alone = Meter(METRICS), Meter(METRICS)
        part = slice(0, 50) if rank == 0 else slice(50, 70)
        filled(meter, (p[part], t[part], w[part], where[part]))
        if rank == 1:  # the other sees no batch
            filled(alone, (p, t, w, where))
        synced = meter.sync()
        values = [
            {k: v.item() for k, v in one.compute().items()} for one in (synced, alone.sync(), meter)
        ]
        nothing = Meter(il.mse).sync()
        results.put((rank, gradients, values, nothing.state_dict()))
        dist.barrier()
    finally:
        dist.destroy_process_group()
    os._exit(0)  # after DistributedDataParallel, PyTorch aborts now and then as Python ends
