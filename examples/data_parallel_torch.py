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

# The gradient of the global mean: each process divides its sum by the count of all, and the parts
# are added. DistributedDataParallel averages them: there, divide by count / processes.
slope = torch.zeros(1, requires_grad=True)
il.huber(slope * predictions[share], targets[share], denominator=len(targets)).backward()
dist.all_reduce(slope.grad)

alone = torch.zeros(1, requires_grad=True)
il.huber(alone * predictions, targets).backward()
torch.testing.assert_close(slope.grad, alone.grad)
if rank == 0:
    print(f"R2 of {processes} processes: {value:.6f}; the gradients agree")
dist.destroy_process_group()
