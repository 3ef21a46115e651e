"""One loss, three libraries: the same number, the same gradient, the same fit.

A linear model is trained with three losses on three libraries, with clean targets and with a wrong
one. Prints a table, draws output/one_loss_everywhere.png, fails where the libraries differ.
"""

import sys
from functools import partial
from itertools import product
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import torch
from rich import box
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split

import isoloss as il

jax.config.update("jax_enable_x64", True)  # float64 everywhere, as in NumPy and scikit-learn

LOSSES = {"squared": il.mean_squared_error, "absolute": il.mean_absolute_error, "Huber": il.huber}
HELD_OUT = {"MSE": il.mse, "RMSE": il.rmse, "MAE": il.mae, "R2": il.r2}
PICTURE = Path(__file__).parent / "output" / "one_loss_everywhere.png"
BMI = 2  # the column of the body mass index


def load():
    """Features beside a column of ones, and targets, in standard deviations of the training set."""
    x, x_test, y, y_test = train_test_split(*load_diabetes(return_X_y=True), random_state=0)
    wrong = np.where(x[:, BMI] == x[:, BMI].max(), 10 * y, y)  # a zero too many, for one patient
    features = [np.c_[(part - x.mean(0)) / x.std(0), np.ones(len(part))] for part in (x, x_test)]
    return *features, *((part - y.mean()) / y.std() for part in (y, wrong, y_test))


def by_numpy(loss, theta, x, y):
    """The loss of a linear model, and its gradient with respect to the parameters theta."""
    value, slope = il.value_and_gradient(loss, x @ theta, y)
    return value, x.T @ slope  # the chain rule


@partial(jax.jit, static_argnums=0)  # a loss is compared and hashed by its parameters
def by_jax(loss, theta, x, y):
    """The same, differentiated and compiled by JAX."""
    return jax.value_and_grad(lambda theta: loss(x @ theta, y))(theta)


def by_torch(loss, theta, x, y):
    """The same, differentiated by PyTorch's backward."""
    theta = theta.detach().requires_grad_()
    value = loss(x @ theta, y)
    value.backward()
    return value.detach(), theta.grad


LIBRARIES = {
    "NumPy": (np.asarray, by_numpy),
    "JAX": (jnp.asarray, by_jax),
    "PyTorch": (torch.asarray, by_torch),
}


def minimise(objective, theta, steps=700):
    """Adam on the whole batch, in steps that shrink to 0; operators alone, so on any library."""
    mean, square = 0 * theta, 0 * theta
    for step in range(1, steps + 1):
        _, slope = objective(theta)
        mean = 0.9 * mean + 0.1 * slope
        square = 0.99 * square + 0.01 * slope * slope
        size = 0.05 * (1 - step / steps) / (1 - 0.9**step)
        theta = theta - size * mean / ((square / (1 - 0.99**step)) ** 0.5 + 1e-8)
    return theta


def fit(library, loss, *arrays):
    """Train on one library; return the parameters, and the numbers to compare."""
    convert, value_and_gradient = LIBRARIES[library]
    x, y, x_test, y_test = map(convert, arrays)
    objective = partial(value_and_gradient, loss, x=x, y=y)
    value, slope = objective(0 * x[0])
    numbers = {"initial loss": value, "initial gradient": (slope @ slope) ** 0.5}
    numbers["trained loss"], _ = objective(theta := minimise(objective, 0 * x[0]))
    numbers |= il.evaluate(HELD_OUT, x_test @ theta, y_test)
    return np.asarray(theta), {name: float(number) for name, number in numbers.items()}


def report(results):
    """Print a table; return a line for every number that differs in a printed digit, if any."""
    table = Table("loss", "targets", "library", box=box.SIMPLE_HEAD, collapse_padding=True)
    for name in results["Huber", "clean"]["NumPy"][1]:
        table.add_column(name.replace(" ", "\n"), justify="right")
    differences, apart = [], 0.0
    for fitted, runs in results.items():
        for library, (_, numbers) in runs.items():
            cells = [f"{number:.6f}" for number in numbers.values()]
            table.add_row(*fitted, library, *cells, end_section=library == "PyTorch")
        for name, reference in runs["NumPy"][1].items():
            values = {library: numbers[name] for library, (_, numbers) in runs.items()}
            apart = max(apart, *(abs(value / reference - 1) for value in values.values()))
            if len({f"{value:.6f}" for value in values.values()}) > 1:
                differences.append(f"{fitted}: the libraries differ in {name}: {values}")
    Console(width=100).print(table, f"Largest relative difference of two libraries: {apart:.0e}")
    return "\n".join(differences) or None


def draw(results, x, y, wrong):
    """Draw the losses, their gradients, and what one wrong target does to each fit."""
    plt.rcParams |= {"font.size": 12, "axes.spines.top": False, "axes.spines.right": False}
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(13, 4.4), layout="constrained")
    error, marked, bmi = np.linspace(-3, 3, 601), np.linspace(-2, 2, 5), np.array([-2.2, 3.6])
    right.plot(x[:, BMI], y, "o", ms=4, color="0.82", mec="none")
    looks = ("#D55E00", 2, 0), ("#0072B2", 5, 0.42), ("#009E73", 2, -0.42)
    for (name, loss), (color, width, nudge) in zip(LOSSES.items(), looks, strict=True):
        left.plot(error, terms := loss(error, 0, reduction="none"), color=color, lw=2)
        slope = il.gradient(loss, error, 0, reduction="sum")
        middle.plot(error, np.where(error == 0, np.nan, slope), color=color, lw=width)
        for library, marker in (("JAX", "o"), ("PyTorch", "+")):
            points = il.gradient(loss, LIBRARIES[library][0](marked), 0, reduction="sum")
            middle.plot(marked, points, marker, color="k", ms=9, mfc="none", zorder=3)
        fits = [results[name, targets]["NumPy"] for targets in ("clean", "wrong")]
        for (theta, _), style in zip(fits, (":", "-"), strict=True):
            line = theta[BMI] * bmi + theta[-1]  # the other features at their mean
            right.plot(bmi, line, style, color=color, lw=2)
        words = "{}\nR² {:.2f} → {:.2f}".format(name, *(numbers["R2"] for _, numbers in fits))
        ends = (left, 3.1, terms, name), (middle, 3.2, slope, name), (right, 3.75, line, words)
        for axes, at, curve, text in ends:
            axes.text(at, curve[-1] + nudge, text, color=color, va="center")
    right.text(3.7, 3.3, f"wrong target at {wrong.max():.0f} ↑\ndotted: without it", ha="right")
    left.set(title="Loss", xlabel="error")
    middle.set(title="Gradient: lines NumPy, ○ JAX, + PyTorch", xlabel="error")
    right.set(title="One wrong target: fits, held-out R²", ylim=(-2, 4.2))
    right.set(xlabel="body mass index (standardised)", ylabel="progression (standardised)")
    PICTURE.parent.mkdir(exist_ok=True)
    figure.savefig(PICTURE, dpi=150)


if __name__ == "__main__":
    x, x_test, y, wrong, y_test = load()
    results = {}
    for name, (kind, targets) in product(LOSSES, {"clean": y, "wrong": wrong}.items()):
        arrays = LOSSES[name], x, targets, x_test, y_test
        results[name, kind] = {library: fit(library, *arrays) for library in LIBRARIES}
    draw(results, x, y, wrong)
    sys.exit(report(results))  # 0, or 1 with the lines that report returns
