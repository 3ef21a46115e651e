"""Boosted trees on data with wild targets: objectives of XGBoost and LightGBM, theirs and ours.

python benchmarks/boosting.py

One target in twenty is off by up to ten times the spread. Printed is the mean absolute error of
held-out samples, whose targets are clean, after so many rounds, and the processor's time of one.
"""

from __future__ import annotations

import time
from typing import Any

import lightgbm as lgb
import numpy as np
import xgboost as xgb
from rich.console import Console
from rich.table import Table
from sklearn.datasets import make_friedman1

import isoloss as il
from isoloss.adapters.boosting import best_constant, lightgbm_objective, xgboost_objective

ROUNDS = (50, 200)
TREES = {"max_depth": 4, "eta": 0.1, "nthread": 1, "verbosity": 0}
LEAVES = {"num_leaves": 16, "learning_rate": 0.1, "num_threads": 1, "verbose": -1}


def data() -> tuple[Any, ...]:
    """Return samples to learn from, some of them wild, and others to test with."""
    x, y = make_friedman1(40_000, noise=1.0, random_state=0)
    rng = np.random.default_rng(0)
    wild = rng.uniform(size=20_000) < 0.05
    learnt = np.where(wild, y[:20_000] + rng.normal(scale=50.0, size=20_000), y[:20_000])
    return x[:20_000], learnt, x[20_000:], y[20_000:]


def of_xgboost(objective: str | il.Loss, hessian: Any = "exact") -> list[float]:
    """Return the errors of XGBoost, and its time of a round."""
    x, y, held_out, right = data()
    own = not isinstance(objective, str)
    start = best_constant(objective, y) if own else float(np.median(y))
    options = {**TREES, "base_score": start, **({} if own else {"objective": objective})}
    obj = xgboost_objective(objective, hessian=hessian) if own else None
    train, before = xgb.DMatrix(x, y), time.process_time()
    model = xgb.train(options, train, max(ROUNDS), obj=obj)
    spent = time.process_time() - before
    test = xgb.DMatrix(held_out)
    found = [model.predict(test, iteration_range=(0, n), output_margin=True) for n in ROUNDS]
    return [*(float(il.mae(p.astype(float), right)) for p in found), 1e3 * spent / max(ROUNDS)]


def of_lightgbm(objective: str | il.Loss, hessian: Any = "exact") -> list[float]:
    """Return the errors of LightGBM, and its time of a round."""
    x, y, held_out, right = data()
    own = not isinstance(objective, str)
    start = best_constant(objective, y) if own else 0.0
    chosen = lightgbm_objective(objective, hessian=hessian) if own else objective
    train = lgb.Dataset(x, y, init_score=np.full(len(y), start) if own else None)
    before = time.process_time()
    model = lgb.train({**LEAVES, "objective": chosen}, train, max(ROUNDS))
    spent = time.process_time() - before
    found = [start + model.predict(held_out, num_iteration=n) for n in ROUNDS]
    return [*(float(il.mae(p, right)) for p in found), 1e3 * spent / max(ROUNDS)]


ROWS: list[tuple[str, Any]] = [
    ("XGBoost reg:squarederror", lambda: of_xgboost("reg:squarederror")),
    ("XGBoost half_squared_error", lambda: of_xgboost(il.half_squared_error)),
    ("XGBoost reg:pseudohubererror", lambda: of_xgboost("reg:pseudohubererror")),
    ("XGBoost pseudo_huber, hessian=1", lambda: of_xgboost(il.pseudo_huber, 1.0)),
    ("XGBoost huber", lambda: of_xgboost(il.huber, 1.0)),
    ("XGBoost reg:absoluteerror", lambda: of_xgboost("reg:absoluteerror")),
    ("XGBoost mean_absolute_error", lambda: of_xgboost(il.mae)),
    ("LightGBM huber", lambda: of_lightgbm("huber")),
    ("LightGBM Huber(delta=0.9)", lambda: of_lightgbm(il.Huber(delta=0.9), 1.0)),
    ("LightGBM l1", lambda: of_lightgbm("l1")),
    ("LightGBM mean_absolute_error", lambda: of_lightgbm(il.mae)),
]


def main() -> None:
    """Print the table."""
    table = Table("objective", *(f"{n} rounds" for n in ROUNDS), "ms a round", box=None)
    for name, run in ROWS:
        *errors, spent = run()
        table.add_row(name, *(f"{error:.3f}" for error in errors), f"{spent:.1f}")
    Console().print(table)


if __name__ == "__main__":
    main()
