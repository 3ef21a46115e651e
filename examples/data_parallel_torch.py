"""Metrics over several processes of PyTorch: each has a share of the samples, all get the value.

torchrun --nproc-per-node 2 examples/data_parallel_torch.py
"""

import torch
import torch.distributed as dist

import isoloss as il

dist.init_process_group("gloo")  # "nccl" on GPUs
rank, processes = dist.get_rank(), dist.get_world_size()

torch.manual_seed(0)
predictions, targets = torch.randn(2, 1001)
share = slice(rank, None, processes)  # of different lengths: 501 samples and 500

state = il.r2_score.summary(predictions[share], targets[share])
value = il.r2_score.compute(il.across(state))  # one all_reduce
torch.testing.assert_close(value, il.r2_score(predictions, targets))

# The gradient of the global mean: each process divides its sum by the count of all.
model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(1, 1))
count = torch.tensor(len(targets) / processes)  # DDP averages the gradients of the processes
loss = il.huber(model(predictions[share, None]).squeeze(1), targets[share], denominator=count)
loss.backward()

if rank == 0:
    alone = torch.nn.Linear(1, 1)
    alone.load_state_dict(model.module.state_dict())
    il.huber(alone(predictions[:, None]).squeeze(1), targets).backward()
    torch.testing.assert_close(model.module.weight.grad, alone.weight.grad)
    print(f"R2 of {processes} processes: {value:.6f}; the gradients agree")
dist.destroy_process_group()
