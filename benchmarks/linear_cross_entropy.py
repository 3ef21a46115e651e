"""Memory and time of a cross-entropy of a linear layer, in chunks and with all logits at once.

Each way runs in a process of its own: what its memory grows by at most is the growth of the
process's peak, from when the inputs are there; the gradients are part of it.
``python benchmarks/linear_cross_entropy.py`` prints a table; ``--tokens``, ``--features``,
``--classes``, ``--libraries`` and ``--skip`` change it.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

ROUNDS = 3
Call = Callable[[], Any]


def drawn(tokens: int, features: int, classes: int) -> tuple[Any, Any, Any]:
    """Hidden numbers, a weight and labels, of ordinary size."""
    rng = np.random.default_rng(0)
    hidden = rng.standard_normal((tokens, features), np.float32)
    weight = rng.standard_normal((classes, features), np.float32)
    weight *= np.float32(features**-0.5)
    return hidden, weight, rng.integers(0, classes, tokens)


# --- the ways, by library -------------------------------------------------------------------------


def numpy(way: str, step: bool, hidden: Any, weight: Any, labels: Any) -> Call:
    import isoloss as il

    if way == "chunks" and step:
        return lambda: il.linear_cross_entropy.value_and_gradient(hidden, weight, labels)
    if way == "chunks":
        return lambda: il.linear_cross_entropy(hidden, weight, labels)

    def expression() -> Any:
        logits = hidden @ weight.T
        logits -= logits.max(axis=-1, keepdims=True)
        own = logits[np.arange(len(labels)), labels]
        np.exp(logits, out=logits)
        total = logits.sum(axis=-1, keepdims=True)
        loss = (np.log(total[:, 0]) - own).mean()
        if not step:
            return loss
        logits /= total
        logits[np.arange(len(labels)), labels] -= 1
        logits /= len(labels)
        return loss, logits @ weight, logits.T @ hidden

    return expression


def jax(way: str, step: bool, hidden: Any, weight: Any, labels: Any) -> Call:
    import jax
    import optax

    import isoloss as il

    ways: dict[str, Callable[..., Any]] = {
        "chunks": il.linear_cross_entropy,
        "plain": lambda h, w, y: il.softmax_cross_entropy(h @ w.T, y),
        "optax": lambda h, w, y: optax.softmax_cross_entropy_with_integer_labels(h @ w.T, y).mean(),
    }
    arrays = [jax.device_put(x) for x in (hidden, weight, labels.astype(np.int32))]
    function = jax.jit(jax.value_and_grad(ways[way], (0, 1)) if step else ways[way])
    return lambda: jax.block_until_ready(function(*arrays))


def torch(way: str, step: bool, hidden: Any, weight: Any, labels: Any) -> Call:
    import torch
    from torch.nn import functional

    import isoloss as il

    ways: dict[str, Callable[..., Any]] = {
        "chunks": il.linear_cross_entropy,
        "plain": lambda h, w, y: il.softmax_cross_entropy(functional.linear(h, w), y),
        "F.cross_entropy": lambda h, w, y: functional.cross_entropy(functional.linear(h, w), y),
    }
    if hasattr(functional, "linear_cross_entropy"):
        options = torch.nn.LinearCrossEntropyOptions()
        ways["F.linear_cross_entropy"] = lambda h, w, y: functional.linear_cross_entropy(
            h, w, y, options=options
        )
    h, w = (torch.from_numpy(x).requires_grad_(step) for x in (hidden, weight))
    y = torch.from_numpy(labels)

    def call() -> Any:
        value = ways[way](h, w, y)
        return torch.autograd.grad(value, (h, w)) if step else value

    return call


LIBRARIES: dict[str, tuple[Callable[..., Call], tuple[str, ...]]] = {
    "numpy": (numpy, ("chunks", "expression")),
    "jax": (jax, ("chunks", "plain", "optax")),
    "torch": (torch, ("chunks", "plain", "F.cross_entropy", "F.linear_cross_entropy")),
}

# --- one process, and all of them -----------------------------------------------------------------


def peak() -> float:
    """The largest memory of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measured(library: str, way: str, step: bool, sizes: tuple[int, int, int]) -> dict[str, float]:
    """Run a way in this process: MiB beyond its inputs, and seconds of a call."""
    call = LIBRARIES[library][0](way, step, *drawn(*sizes))
    before = peak()
    call()
    memory, wall, cores = peak() - before, [], []
    for _ in range(ROUNDS):
        start, used = time.perf_counter(), time.process_time()
        call()
        wall.append(time.perf_counter() - start)
        cores.append(time.process_time() - used)
    return {"memory": memory, "wall": statistics.median(wall), "cores": statistics.median(cores)}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=4096)
    parser.add_argument("--features", type=int, default=512)
    parser.add_argument("--classes", type=int, default=32_000)
    parser.add_argument("--libraries", nargs="*", default=list(LIBRARIES))
    parser.add_argument("--skip", nargs="*", default=[], help="ways that are not run")
    parser.add_argument("--one", nargs=3, help="library, way, step: in this process, as JSON")
    chosen = parser.parse_args()
    sizes = (chosen.tokens, chosen.features, chosen.classes)
    if chosen.one:
        library, way, step = chosen.one
        print(json.dumps(measured(library, way, step == "step", sizes)))
        return
    logits = sizes[0] * sizes[2] * 4 / 2**20
    print(
        f"{sizes[0]} tokens, {sizes[1]} features, {sizes[2]} classes: {logits:.0f} MiB of logits\n"
    )
    print(
        "| library | computation | function | MiB beyond the inputs | seconds | seconds of all cores |"
    )
    print("|---|---|---|---|---|---|")
    for library in chosen.libraries:
        for what in ("value", "step"):
            for way in [one for one in LIBRARIES[library][1] if one not in chosen.skip]:
                command = [sys.executable, __file__, "--one", library, way, what]
                command += [
                    f"--{k}={n}"
                    for k, n in zip(("tokens", "features", "classes"), sizes, strict=True)
                ]
                found = subprocess.run(command, capture_output=True, text=True)
                if found.returncode:
                    print(
                        f"| {library} | {what} | {way} | failed | - | {found.stderr.splitlines()[-1]} |"
                    )
                    continue
                row = json.loads(found.stdout)
                print(
                    f"| {library} | {what} | {way} | {row['memory']:.0f} | {row['wall']:.2f} | {row['cores']:.2f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
