"""The command `isoloss`: what it prints, what it refuses in which words, and its exit status."""

from __future__ import annotations

import gzip
import io
import json
import math
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from matplotlib.figure import Figure
from pyarrow import csv, feather, parquet

# what is printed shall not depend on where the tests run; Typer looks when it is imported
for name in ("CI", "GITHUB_ACTIONS", "FORCE_COLOR", "NO_COLOR", "PY_COLORS", "COLUMNS"):
    os.environ.pop(name, None)

from typer.testing import CliRunner

import isoloss as il
from isoloss.cli.catalogue import entries, metric_of, split
from isoloss.cli.commands import app, show
from isoloss.cli.curves import NoPictureError, curve
from isoloss.cli.errors import InputError
from isoloss.cli.formula import in_text
from isoloss.cli.tables import console, parity
from isoloss.testing.parity import Report, Row

N = 1000
HERE = Path(il.__file__).parents[1]


def run(*words: object, status: int = 0, **env: str):
    """Run a command in this process."""
    result = CliRunner().invoke(app, list(map(str, words)), env=env)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == status, result.output
    return result


def refused(*words: object) -> str:
    """Return the message of a command that is refused."""
    result = run(*words, status=2)
    assert result.stdout == ""
    assert result.stderr.startswith("isoloss: ")
    assert result.stderr.count("\n") == 1
    return result.stderr.removeprefix("isoloss: ").strip()


def process(*words: object, cwd: Path, code: str = "", **env: str):
    """Run a command in a process of its own, whose output is a pipe."""
    script = code or "import sys; from isoloss.cli import main; sys.exit(main())"
    return subprocess.run(
        [sys.executable, "-c", script, *map(str, words)], cwd=cwd, capture_output=True,
        text=True, check=False, encoding="utf-8",
        env={**os.environ, "PYTHONPATH": str(HERE), "PYTHONIOENCODING": "utf-8", **env},
    )  # fmt: skip


@pytest.fixture(scope="module")
def columns() -> dict[str, np.ndarray]:
    """Targets, two models, weights, groups and labels."""
    rng = np.random.default_rng(0)
    y = rng.gamma(2.0, 3.0, N)
    return {
        "y": y,
        "good": y + rng.normal(size=N) / 2,
        "bad": y + rng.standard_t(3, size=N),
        "w": rng.uniform(0.5, 2.0, N),
        "region": np.array(["south", "<b>north</b>", "10", "9"])[rng.integers(0, 4, N)],
        "label": rng.integers(0, 2, N),
        "score": rng.uniform(size=N),
    }


@pytest.fixture(scope="module")
def folder(columns, tmp_path_factory) -> Path:
    """The same table in every format."""
    folder = tmp_path_factory.mktemp("tables")
    table = pa.table(columns)
    parquet.write_table(table, folder / "t.parquet", row_group_size=300)
    csv.write_csv(table, folder / "t.csv")
    csv.write_csv(table, folder / "t.tsv", csv.WriteOptions(delimiter="\t"))
    (folder / "t.csv.gz").write_bytes(gzip.compress((folder / "t.csv").read_bytes()))
    for name, kind, compression in (
        ("t.feather", pa.ipc.new_file, "lz4"),
        ("t.arrow", pa.ipc.new_file, None),
        ("t.arrows", pa.ipc.new_stream, None),
    ):
        options = pa.ipc.IpcWriteOptions(compression=compression)
        with kind(str(folder / name), table.schema, options=options) as file:
            file.write_table(table, max_chunksize=170)
    np.savez(folder / "t.npz", **columns)
    np.savez_compressed(folder / "packed.npz", **columns)
    return folder


FILES = ["t.parquet", "t.csv", "t.tsv", "t.csv.gz", "t.feather", "t.arrow", "t.arrows", "t.npz",
         "packed.npz"]  # fmt: skip

# --- list, show -----------------------------------------------------------------------------------


def test_list_has_every_metric_once() -> None:
    """Every public metric, and every class that has no instance, has one row."""
    found = json.loads(run("list", "--json").stdout)
    names = [name for row in found for name in (row["name"], *row["aliases"])]
    instances = {n for n in il.__all__ if isinstance(getattr(il, n), il.Metric)}
    assert len(names) == len(set(names))
    assert instances <= set(names)
    classes = {type(getattr(il, n)).__name__ for n in instances} | {
        "Metric",
        "Loss",
        "SquaredLoss",
        "Sum",
    }
    every = {n for n in il.__all__ if isinstance(getattr(il, n), type)}
    every = {n for n in every if issubclass(getattr(il, n), il.Metric)}
    assert set(names) - instances == every - classes
    mse = next(row for row in found if row["name"] == "mean_squared_error")
    assert mse == {
        "name": "mean_squared_error", "aliases": ["mse"], "class": "MeanSquaredError",
        "call": "MeanSquaredError()", "parameters": {}, "kind": "mean",
        "greater_is_better": False, "family": "regression", "title": "Mean squared error.",
    }  # fmt: skip


def test_list_is_filtered() -> None:
    """By family, and by a word of a name, an alias or a title; in a pipe, plain columns."""
    lines = run("list", "squared", "--family", "regression").stdout.splitlines()
    assert lines[0].split() == ["name", "aliases", "made", "by", "kind", "better", "family"]
    assert lines[1].split() == [
        "mean_squared_error", "mse", "MeanSquaredError()", "mean", "lower", "regression",
    ]  # fmt: skip
    assert all(line == line.rstrip() and line.isascii() for line in lines)
    assert refused("list", "--family", "robst").startswith(
        "there is no family 'robst': there are regression, robust, classification, "
    )
    assert refused("list", "hubr") == (
        "no metric has 'hubr' in its name, title or family; did you mean huber?"
    )


def test_show() -> None:
    """Formula, properties and three pictures, of the metric with its parameters."""
    text = run("show", "huber", "--delta", 2).stdout
    assert text.startswith("Huber(delta=2.0)\nHuber loss: squared near zero, absolute far out.\n")
    assert "    q² / 2 + δ (|e| - q),  q = min(|e|, δ)\n" in text
    assert "\nparameters         delta (float, > 0; 1.0 by default)\n" in text
    titles = [line.strip() for line in text.splitlines()]
    assert [titles.count(name) for name in ("value", "gradient", "curvature")] == [1, 1, 1]
    assert text == run("show", "--delta=2.0", "huber").stdout == run("show", "huber:delta=2").stdout
    assert text == run("show", "Huber", "--delta", "2.0").stdout
    assert text == run("show", "Huber(delta=2.0)").stdout
    wrapped = run("show", "Root(Huber(2))").stdout
    assert wrapped.startswith("Root(metric=Huber(delta=2.0))\nHuber loss: squared near zero")
    for name, word in (("Root(Huber(2))", "yes"), ("SkillScore(mse)", "no"), ("r2", "no")):
        assert f"\nstandard error     {word}\n" in run("show", name).stdout


def test_show_takes_parameters_of_every_type() -> None:
    """Numbers, below 0 too, words, tuples, None and switches."""
    for words, title in (
        (("barron", "--alpha", "-2"), "Barron(alpha=-2.0)"),
        (("barron", "--alpha", "-inf"), "Barron(alpha=-inf)"),
        (("poisson_nll", "--full", "--no-log-input"), "PoissonNLL(log_input=False, full=True)"),
        (("poisson_nll", "--full=true"), "PoissonNLL(full=True)"),
        (
            ("multi_quantile", "--quantiles", "(0.25, 0.75)"),
            "MultiQuantile(quantiles=(0.25, 0.75))",
        ),
        (
            ("F1Score", "--num-classes", "3", "--average", "none"),
            "F1Score(num_classes=3, average=None)",
        ),
        (("ndcg", "--gain", "linear"), "NDCG(gain='linear')"),
    ):
        assert run("show", *words).stdout.splitlines()[0] == title


@pytest.mark.parametrize("entry", entries(), ids=lambda entry: entry.name)
def test_every_metric_is_shown(entry, capsys) -> None:
    """Each has a text without a macro of LaTeX left over, and a picture or the reason for none."""
    show([entry.name])  # the function of the command, without 174 runs of Typer's parser
    text = capsys.readouterr().out
    assert not re.search(r"\\[a-z]", text)
    assert text.count("└") == 3 or "\nno picture: " in text


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["hubr"], "there is no metric 'hubr'; did you mean huber? (isoloss list)"),
        (["huber", "--dleta", "2"], "Huber has no parameter 'dleta': it has delta (float, > 0; 1.0 by default); did you mean delta?"),
        (["mse", "--delta", "2"], "MeanSquaredError has no parameter 'delta': it has none"),
        (["rmse", "--delta", "2"], "root_mean_squared_error is Root(metric=MeanSquaredError()) and has no parameters; wrap another, as in 'Root(Huber(delta=2.0))'"),
        (["huber", "--delta", "-2"], "Huber(delta=-2.0): delta must be finite and > 0, not -2.0"),
        (["huber", "--delta", "two"], "Huber(delta='two'): delta must be a number, not 'two'"),
        (["huber", "--delta"], "--delta needs a value; it has delta (float, > 0; 1.0 by default)"),
        (["huber", "2"], "'2' is left over: parameters are written --name value"),
        (["--delta", "2"], "name a metric: isoloss show huber --delta 2 (isoloss list)"),
        (["huber", "--range", "5,1"], "--range 5,1: the first number must be less than the second"),
        (["huber", "--range", "5"], "--range 5: write two numbers, as in --range=-5,5"),
        (["msle", "--range=-9,-5"], "--range: predictions of MeanSquaredLogError() must be > -1"),
        (["bce", "--target", "3"], "--target 3: targets of BinaryCrossEntropy() must be >= 0 and <= 1"),
        (["huber", "--png", "x.txt"], "x.txt: pictures are written as .png, .svg or .pdf"),
        (["r2", "--png", "x.png"], "no picture: R2Score() is no mean of terms, but a number of all samples (moments)"),
        (["F1Score", "--average", "mean"], "F1Score needs num_classes; write 'F1Score:num_classes=...', or --num_classes with show"),
    ],
    ids=lambda x: " ".join(x) if isinstance(x, list) else "",
)  # fmt: skip
def test_show_refuses(words: list[str], text: str) -> None:
    """What is wrong is named, with what there is."""
    assert refused("show", *words) == text


def test_curves_are_the_metric() -> None:
    """Values and derivatives by hand: Huber (1964) at delta 2, of residuals -5 to 5."""
    drawn = curve(il.Huber(delta=2.0))
    assert drawn.label == "residual (prediction - target)"
    e = drawn.x
    assert (e[0], e[-1]) == (-5.0, 5.0)
    value = np.where(abs(e) <= 2, e * e / 2, 2 * abs(e) - 2)
    np.testing.assert_allclose(drawn.rows[0], value, rtol=1e-15)
    np.testing.assert_allclose(drawn.rows[1], np.clip(e, -2, 2), rtol=1e-15)
    np.testing.assert_array_equal(drawn.rows[2], np.where(abs(e) <= 2, 1.0, 0.0))
    logits = curve(il.softmax_cross_entropy)  # of one class beside two of logit 0
    x = logits.x
    np.testing.assert_allclose(logits.rows[0], np.log(np.exp(x) + 2) - x, rtol=1e-12)
    p = np.exp(x) / (np.exp(x) + 2)
    np.testing.assert_allclose(logits.rows[1], p - 1, rtol=1e-12)
    np.testing.assert_allclose(logits.rows[2], p * (1 - p), rtol=1e-12)
    assert curve(il.mape).label == "prediction (target 1)"
    assert curve(il.mse, target=3.0).x[200] == 3.0
    ends = {m: tuple(curve(m).x[[0, -1]]) for m in (il.bce_with_logits, il.hinge, il.bce)}
    assert ends == {il.bce_with_logits: (-6.0, 6.0), il.hinge: (-6.0, 6.0), il.bce: (0.0, 1.0)}
    with pytest.raises(NoPictureError, match=r"is not of one prediction and one target, but of"):
        curve(il.gaussian_nll)


def test_pictures_in_files(tmp_path: Path) -> None:
    """A picture is written where it is asked for, in a path with blanks too."""
    for ending, start in (("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")):
        path = tmp_path / f"a [bold] picture.{ending}"
        assert run("show", "huber", "--png", path).stderr == f"wrote {path}\n"
        assert path.read_bytes().startswith(start)
    missing = tmp_path / "no" / "x.png"
    assert refused("show", "mse", "--png", missing) == (
        f"{missing}: there is no folder {missing.parent}"
    )


def test_formulas_in_text() -> None:
    """Fractions, roots, powers, bars and words of LaTeX as they would be typed."""
    for latex, text in (
        (r"\frac{x^2}{\delta + 1}", "x²/(δ + 1)"),
        (r"\sqrt{a} \log (1 + \bar y)", "√a log(1 + y\u0304)"),
        (r"\sum_{k \le n} \mathrm{DCG}_k, \quad \lambda^{-1}", "Σ_(k ≤ n) DCG_k,  λ⁻¹"),
        (r"\left\| p \right\|", "‖ p ‖"),
    ):
        assert in_text(latex) == text


# --- metrics as they are typed --------------------------------------------------------------------


def test_metrics_as_they_are_typed() -> None:
    """A name, an alias, a class; parameters after colons or as a call; metrics of metrics."""
    for text, metric in (
        ("mse", il.mse),
        ("rmse", il.rmse),
        ("huber:delta=2", il.Huber(delta=2.0)),
        ("barron:alpha=-2:scale=3", il.Barron(alpha=-2.0, scale=3.0)),
        ("barron:alpha=-inf", il.Barron(alpha=-math.inf)),
        ("Huber(delta=2.0)", il.Huber(delta=2.0)),
        ("Huber(2)", il.Huber(delta=2.0)),
        ("Barron(alpha=-inf)", il.Barron(alpha=-math.inf)),
        ("Root(MeanSquaredError())", il.rmse),
        ("Root(mse)", il.rmse),
        ("Scaled(Root(Huber(2.0)), factor=-3)", il.Scaled(il.Root(il.Huber(2.0)), -3.0)),
    ):
        assert metric_of(text) == metric
        assert metric_of(repr(metric)) == metric
    assert split("mse, F1Score(num_classes=3, average='micro'),mae,") == [
        "mse", "F1Score(num_classes=3, average='micro')", "mae",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("huber:delta", "'huber:delta': write a parameter as 'huber:delta=value'"),
        ("Huber(", "'Huber(' is not a metric; write 'Huber(delta=2.0)', say"),
        ("1 + mse()", "'1 + mse()' is not a metric; write 'Huber(delta=2.0)', say"),
        ("il.Huber()", "'il.Huber()' is not a metric; write 'Huber(delta=2.0)', say"),
        ("Huber(1, 2)", "'Huber(1, 2)': 2 parameters are too many; it has delta (float, > 0; 1.0 by default)"),
        ("Huber(delta=open('x'))", "\"Huber(delta=open('x'))\": delta=open('x') is not a number, a word or a tuple"),
        ("Root(3)", "'Root(3)' is not a metric; write 'Huber(delta=2.0)', say"),
        ("Root()", "Root needs metric; write 'Root:metric=...', or --metric with show"),
    ],
)  # fmt: skip
def test_metrics_that_are_none(text: str, message: str) -> None:
    """What is typed is read, never run."""
    with pytest.raises(InputError) as error:
        metric_of(text)
    assert str(error.value) == message


# --- evaluate -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FILES)
def test_every_format_gives_the_values_of_the_whole(name: str, folder: Path, columns) -> None:
    """Batches of 64 rows of any file give what `evaluate` gives of all rows: to 2 ULP."""
    names = {"mse": il.mse, "rmse": il.rmse, "mae": il.mae, "r2": il.r2, "max_error": il.max_error}
    done = run(
        "evaluate", folder / name, "--target", "y", "--prediction", "good", "--prediction", "bad",
        "--weights", "w", "--group", "region", "--metrics", ",".join(names), "--json",
        "--batch-size", 64,
    )  # fmt: skip
    found = json.loads(done.stdout)
    assert found["rows"] == N
    assert found["dropped"] == 0
    assert list(found["groups"]) == ["10", "9", "<b>north</b>", "south"]
    assert found["best"] == {name: ["good"] for name in names}
    y, w, region = columns["y"], columns["w"], columns["region"]
    for model in ("good", "bad"):
        p = columns[model]
        whole = il.evaluate(names, p, y, weights=w)
        errors = {k: names[k] for k in ("mse", "rmse", "mae")}
        estimates = il.evaluate(errors, p, y, weights=w, standard_error=True)
        groups = il.evaluate(names, p, y, weights=w, groups=region)
        for metric in names:
            row = found["models"][model][metric]
            near(row["value"], whole[metric])
            assert ("standard_error" in row) == (metric in errors)
            if metric in errors:
                near(row["standard_error"], estimates[metric].standard_error)
            for label in np.unique(region):
                near(found["groups"][label][model][metric]["value"], groups[metric][label])


def near(found: float, want: float) -> None:
    """Assert that numbers are 2 ULP apart at most."""
    assert abs(found - want) <= 2 * np.spacing(abs(want)), (found, want)


def test_types_of_columns(tmp_path: Path) -> None:
    """Decimals, booleans, integers and half precision are numbers; groups may be of any type."""
    y = [1.0, 0.0, 1.0, 0.0]
    table = pa.table({
        "decimal": pa.array(y).cast(pa.decimal128(5, 2)), "bool": pa.array([True, False] * 2),
        "int": pa.array([1, 0, 1, 0], pa.int8()), "half": pa.array(np.float16(y)),
        "single": pa.array(np.float32(y)), "p": [1.0, 0.5, 0.5, 1.0],
        "word": pa.array(["v", "u", "v", "u"]).dictionary_encode(), "number": [10, 9, 10, 9],
        "date": pa.array([1, 0, 1, 0], pa.timestamp("s")),
    })  # fmt: skip
    path = tmp_path / "t.parquet"
    parquet.write_table(table, path)
    for column in ("decimal", "bool", "int", "half", "single"):
        for group, labels in (
            ("word", ["u", "v"]),
            ("number", ["9", "10"]),
            ("bool", ["False", "True"]),
            ("date", ["1970-01-01 00:00:00", "1970-01-01 00:00:01"]),
        ):
            done = run(
                "evaluate", path, "-t", column, "-p", "p", "-g", group, "-m", "mae", "--json"
            )
            found = json.loads(done.stdout)
            assert found["models"]["p"]["mae"]["value"] == 0.5
            assert list(found["groups"]) == labels
            values = [found["groups"][label]["p"]["mae"]["value"] for label in labels]
            assert values == [0.75, 0.25]


def test_a_batch_is_the_whole_to_the_bit(folder: Path, columns) -> None:
    """Of a file of one batch, the values are those of `evaluate`, every bit of them."""
    found = json.loads(run("evaluate", folder / "t.npz", "-t", "y", "-p", "bad", "--json").stdout)
    want = il.evaluate([il.mse, il.rmse, il.mae, il.r2], columns["bad"], columns["y"])
    got = [cell["value"] for cell in found["models"]["bad"].values()]
    assert got == list(map(float, want.values()))


def test_table(folder: Path) -> None:
    """In a pipe, columns of stable width without lines; the best model is marked."""
    done = process(
        "evaluate", "t.csv", "-t", "y", "-p", "good", "-p", "bad", "-m", "mae,r2,mbe",
        "-g", "label", cwd=folder, COLUMNS="40", NO_COLOR="1",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert [line.split()[:1] for line in lines[:4]] == [["metric"], ["mae"], ["r2"], ["mbe"]]
    assert re.fullmatch(r"mae     ↓ +\* \d\.\d+ ± \d\.\d+ +\d\.\d+ ± \d\.\d+", lines[1])
    assert len(lines[1]) == len(lines[2])
    assert re.fullmatch(r"r2      ↑ +\* \d\.\d+ +\d\.\d+", lines[2])
    assert lines[5] == "mae ↓ by label"
    assert [line.split()[0] for line in lines[6:9]] == ["label", "0", "1"]
    assert "\x1b" not in done.stdout
    assert all(line == line.rstrip() for line in lines)


def test_terminals(folder: Path) -> None:
    """On a terminal there are lines and colours; with NO_COLOR, no colours."""
    words = ("evaluate", folder / "t.csv", "-t", "y", "-p", "good", "-p", "bad", "-m", "mae")
    colours = run(*words, FORCE_COLOR="1", TERM="xterm").stdout
    assert "\x1b[1;32m* 0." in colours
    assert "───" in colours
    plain = run(*words, FORCE_COLOR="1", TERM="xterm", NO_COLOR="1").stdout
    assert "32m" not in plain
    assert "───" in plain


def test_labels_and_arrays(folder: Path, columns) -> None:
    """Metrics of labels take integers, from files of floating columns too; some give arrays."""
    found = json.loads(run(
        "evaluate", folder / "t.csv", "-t", "label", "-p", "label", "--json",
        "-m", "accuracy,ConfusionMatrix(num_classes=2),binary_f1_score",
    ).stdout)["models"]["label"]  # fmt: skip
    ones = int(columns["label"].sum())
    assert found["accuracy"]["value"] == 1.0
    assert found["ConfusionMatrix(num_classes=2)"]["value"] == [[N - ones, 0], [0, ones]]
    done = run("evaluate", folder / "t.csv", "-t", "label", "-p", "score", "-m", "roc_auc_score")
    assert done.stderr == "isoloss: roc_auc_score sorts all rows, so it held them in memory\n"
    text = refused("evaluate", folder / "t.csv", "-t", "label", "-p", "score", "-m", "accuracy")
    first = columns["score"][0]
    assert text == (
        f"{folder / 't.csv'}: column 'score' holds {first:g}, and a metric of labels needs "
        "integers; name other metrics, or a column of labels"
    )


def test_a_bias_is_best_near_zero(tmp_path: Path) -> None:
    """Of biases -2 and 1, the second is best."""
    path = tmp_path / "t.csv"
    path.write_text("y,low,high\n1,-1,2\n2,0,3\n")
    found = json.loads(run(
        "evaluate", path, "-t", "y", "-p", "low", "-p", "high", "-m", "mbe,mae", "--json",
    ).stdout)  # fmt: skip
    assert found["best"] == {"mbe": ["high"], "mae": ["high"]}
    assert found["models"]["low"]["mbe"]["value"] == -2.0


MISSING = "y,a,g\n1,2,u\n3,,v\n4,5,\nnan,inf,u\n6,6,u\n"


def test_rows_with_nulls(tmp_path: Path) -> None:
    """They are counted and placed; with --drop-nulls they are left out, and that is said."""
    path = tmp_path / "t.csv"
    path.write_text(MISSING)
    end = "fill them in, or leave out their rows with --drop-nulls"
    assert refused("evaluate", path, "-t", "y", "-p", "a", "--batch-size", 2) == (
        f"{path}: column 'y' has 1 null, the first in row 3 (from 0); column 'a' has 1 null and "
        f"1 infinite number, the first in row 1 (from 0): {end}"
    )
    done = run("evaluate", path, "-t", "y", "-p", "a", "-g", "g", "-m", "mae", "--drop-nulls")
    assert done.stderr == "3 of 5 rows were left out for nulls\n"
    found = json.loads(run(
        "evaluate", path, "-t", "y", "-p", "a", "-g", "g", "-m", "mae", "--drop-nulls", "--json"
    ).stdout)  # fmt: skip
    assert (found["rows"], found["dropped"], list(found["groups"])) == (2, 3, ["u"])
    assert found["models"]["a"]["mae"]["value"] == 0.5
    table = pa.table({"y": [1.0, math.nan, None], "a": [1, 2, None]})
    parquet.write_table(table, tmp_path / "t.parquet")
    assert refused("evaluate", tmp_path / "t.parquet", "-t", "y", "-p", "a") == (
        f"{tmp_path / 't.parquet'}: column 'y' has 1 null and 1 nan, the first in row 1 (from 0); "
        f"column 'a' has 1 null, the first in row 2 (from 0): {end}"
    )
    (tmp_path / "group.csv").write_text("y,a,g\n1,2,u\n3,4,\n")
    assert refused("evaluate", tmp_path / "group.csv", "-t", "y", "-p", "a", "-g", "g") == (
        f"{tmp_path / 'group.csv'}: column 'g' has 1 null, the first in row 1 (from 0): {end}"
    )
    np.savez(tmp_path / "t.npz", y=[math.nan, math.nan], a=[1.0, 2.0])
    assert refused("evaluate", tmp_path / "t.npz", "-t", "y", "-p", "a", "--drop-nulls") == (
        f"{tmp_path / 't.npz'} has 2 rows, all of them with nulls: there is nothing to evaluate"
    )


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("qqqqqq -t y -p good", "there is no file qqqqqq"),
        ("t.parquett -t y -p good", "there is no file t.parquett; did you mean t.parquet?"),
        (". -t y -p good", ". is a folder: name one file in it"),
        ("empty.csv -t y -p good", "empty.csv is empty"),
        ("head.csv -t y -p good", "head.csv has no rows: there is nothing to evaluate"),
        ("rowless.pq -t y -p good", "rowless.pq has no rows: there is nothing to evaluate"),
        ("rowless.npz -t y -p good", "rowless.npz has no rows: there is nothing to evaluate"),
        ("t.xlsx -t y -p good", "t.xlsx: the format is not known by its name; there are .parquet, .csv, .tsv, .arrow, .feather, .arrows and .npz; .csv.gz, .csv.bz2 and .csv.zst too"),
        ("ragged.csv -t y -p good", "ragged.csv cannot be read: CSV parse error: Row #3: Expected 2 columns, got 1: 3"),
        ("twice.csv -t y -p good", "twice.csv has 2 columns 'good': rename them"),
        ("t.csv -t why -p good", "t.csv has no column 'why': it has y, good, bad, w, region, label, score"),
        ("t.csv -t y -p god", "t.csv has no column 'god': it has y, good, bad, w, region, label, score; did you mean good?"),
        ("t.parquet -t y -p region", "t.parquet: column 'region' is of type string, not of numbers; name another"),
        ("t.npz -t y -p region", "t.npz: column 'region' is of type <U12, not of numbers; name another"),
        ("words.csv -t y -p good", "words.csv: column 'good' holds 'many' in row 2 (the header is row 1), which is no number: name another column, or mend the file"),
        ("lengths.npz -t y -p good", "lengths.npz: arrays of one length are compared, not of y: 3, good: 2"),
        ("square.npz -t y -p good", "square.npz: 'good' has shape (2, 1): columns have one axis; save good[:, 0], say, under a name of its own"),
        ("objects.npz -t y -p good", "objects.npz: 'good' holds objects of Python, which are not unpickled; save it as numbers or text, e.g. good.astype(float)"),
        ("cut.npz -t y -p good", "cut.npz cannot be read: File is not a zip file"),
        ("cut.csv.gz -t y -p good", "cut.csv.gz cannot be read: Truncated compressed stream"),
        ("negative.csv -t y -p good -w good", "negative.csv: column 'good' has weights below 0"),
        ("t.csv -t y -p good -p good", "a model is named twice: --prediction takes each column once"),
        ("t.csv -t y -p good -m hubr", "there is no metric 'hubr'; did you mean huber? (isoloss list)"),
        ("t.csv -t y -p good -m f1", "there is no metric 'f1'; did you mean F1Score or binary_f1_score? (isoloss list)"),
        ("t.csv -t y -p good -g region -g label", "--group takes one column, not region and label: make one column of both"),
        ("t.csv -t y -p good -m ,", "--metrics is empty: name one, such as mse (isoloss list)"),
        ("t.csv -t y -p good -m cross_entropy", "cross_entropy does not take a column of numbers: its inputs are (classes),() (isoloss show cross_entropy)"),
        ("t.csv -t y -p good -m gaussian_nll", "gaussian_nll does not take a column of numbers: its inputs are ((),()),() (isoloss show gaussian_nll)"),
        ("t.csv -t y -p good --report x.pdf", "--report x.pdf: it is a page: name it .html"),
        ("t.csv -t y -p good --report no/x.html", "no/x.html: there is no folder {here}/no"),
        ("t.csv -t y -p good --report d.html", "d.html is a folder: name a file in it, as in d.html/d.html"),
    ],
)  # fmt: skip
def test_evaluate_refuses(words: str, text: str, folder: Path, monkeypatch) -> None:
    """A file, a column or a metric that will not do is named, with what to do."""
    monkeypatch.chdir(folder)
    for name, content in {
        "empty.csv": "", "head.csv": "y,good\n", "t.xlsx": "?", "ragged.csv": "y,good\n1,2\n3\n",
        "twice.csv": "y,good,good\n1,2,3\n", "words.csv": "y,good\n1,many\n",
        "negative.csv": "y,good\n1,-1\n",
    }.items():  # fmt: skip
        Path(name).write_text(content)
    np.savez("lengths.npz", y=[1.0, 2.0, 3.0], good=[1.0, 2.0])
    parquet.write_table(pa.table({"y": [1.0], "good": [1.0]}).slice(1), "rowless.pq")
    np.savez("rowless.npz", y=np.ones(0), good=np.ones(0))
    np.savez("square.npz", y=[1.0, 2.0], good=[[1.0], [2.0]])
    np.savez("objects.npz", y=[1.0, 2.0], good=np.array([1.0, "x"], dtype=object))
    Path("cut.npz").write_bytes(Path("t.npz").read_bytes()[:3000])
    Path("cut.csv.gz").write_bytes(Path("t.csv.gz").read_bytes()[:3000])
    Path("d.html").mkdir(exist_ok=True)
    assert refused("evaluate", *words.split()) == text.format(here=folder)


def test_long_lists_and_names(tmp_path: Path) -> None:
    """Of many columns, twenty are named; a note stays on its line, however long it is."""
    for many, end in ((20, ""), (21, ", ...")):
        path = tmp_path / "t.csv"
        path.write_text(",".join(f"c{i}" for i in range(many)) + "\n" + ",".join("1" * many) + "\n")
        assert refused("evaluate", path, "-t", "why", "-p", "c0") == (
            f"{path} has no column 'why': it has c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, "
            f"c12, c13, c14, c15, c16, c17, c18, c19{end}"
        )
    name = "a" * 300
    path.write_text(f"y,{name}\n1,-3\n")
    done = run("evaluate", path, "-t", "y", "-p", name, "-m", "msle")
    assert done.stderr.startswith(f"isoloss: msle of {name} is nan: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("cores", [1, 4])
def test_a_row_that_is_wrong_is_told_on_any_number_of_cores(cores: int, tmp_path: Path) -> None:
    """The message names the row of a CSV file for every number of threads that Arrow may start."""
    path = tmp_path / "t.csv"
    before = pa.cpu_count()
    pa.set_cpu_count(cores)
    try:
        path.write_text("y,a\n" + "1,2\n" * 3 + "4\n")
        assert refused("evaluate", path, "-t", "y", "-p", "a") == (
            f"{path} cannot be read: CSV parse error: Row #5: Expected 2 columns, got 1: 4"
        )
        path.write_text("y,a\n" + "1,2\n" * 300_000 + "4,many\n")  # more than a block
        assert "holds 'many' in row 300002 (the header is row 1)" in refused(
            "evaluate", path, "-t", "y", "-p", "a"
        )
    finally:
        pa.set_cpu_count(before)


DAMAGED = """
import sys
from typer.testing import CliRunner
from isoloss.cli.commands import app
for path in sys.argv[1:]:
    done = CliRunner().invoke(app, ["evaluate", path, "-t", "y", "-p", "a", "-g", "g"])
    print(done.exit_code, done.stderr, end="", flush=True)
"""


def test_damaged_arrow_files_are_refused(tmp_path: Path) -> None:
    """The command refuses offsets and codes that point out of their column, and does not crash."""
    words = pa.array(["abcd", "efgh"] * 4)
    codes = np.arange(8, dtype="int32") % 2
    offsets = np.arange(0, 36, 4, dtype="int32")
    damage = {  # the column, numbers that its file holds, and which of them are damaged, to what
        "string": (words, offsets, {3: 2**30}, "offset for slot 3 out of bounds: 1073741824 > 32"),
        "backwards": (words, offsets, {3: 0}, "non-monotonic offset at slot 3: 0 < 8"),
        "large": (
            words.cast(pa.large_string()), offsets.astype("int64"), {3: 2**50},
            "offset for slot 3 out of bounds: 1125899906842624 > 32",
        ),
        "codes": (
            pa.DictionaryArray.from_arrays(codes, words[:2]), codes, {5: 2**30},
            "Value at position 5 out of bounds: 1073741824 (should be in [0, 1])",
        ),
    }  # fmt: skip
    lines = {}
    for name, (column, numbers, changes, reason) in damage.items():
        wrong = numbers.copy()
        wrong[list(changes)] = list(changes.values())
        table = pa.table({"y": np.ones(8), "a": np.ones(8), "g": column})
        for kind, ending in ((pa.ipc.new_file, "arrow"), (pa.ipc.new_stream, "arrows")):
            path = tmp_path / f"{name}.{ending}"
            with kind(str(path), table.schema) as file:
                file.write_table(table)
            data = path.read_bytes()
            assert data.count(numbers.tobytes()) == 1
            path.write_bytes(data.replace(numbers.tobytes(), wrong.tobytes()))
            lines[path] = reason
    done = process(*lines, cwd=tmp_path, code=DAMAGED)
    assert done.returncode == 0, done.stderr  # below 0, a signal ended it
    for line, (path, reason) in zip(done.stdout.splitlines(), lines.items(), strict=True):
        assert line.startswith(f"2 isoloss: {path}: column 'g' is damaged (")
        assert line.endswith(f"{reason}): copy the file again, or write it again")


def test_many_labels_are_no_groups(tmp_path: Path) -> None:
    """A column of more than a thousand labels is refused as a group."""
    path = tmp_path / "t.npz"
    np.savez(path, y=np.ones(1001), a=np.ones(1001), g=np.arange(1001))
    assert refused("evaluate", path, "-t", "y", "-p", "a", "-g", "g") == (
        f"{path}: column 'g' has more than 1000 different labels: --group is for a column of a few"
    )


def test_values_outside_the_domain(tmp_path: Path) -> None:
    """A value that is nan is explained; in JSON it is null."""
    path = tmp_path / "t.csv"
    path.write_text("y,a\n1,-3\n2,2\n")
    done = run("evaluate", path, "-t", "y", "-p", "a", "-m", "msle", "--json")
    assert json.loads(done.stdout)["models"]["a"]["msle"]["value"] is None
    assert done.stderr == (
        "isoloss: msle of a is nan: predictions must be > -1, targets > -1 (isoloss show msle)\n"
    )


def test_report(folder: Path, tmp_path: Path) -> None:
    """The page needs no other file and no script, escapes what it is given, and is reproducible."""
    pages = [tmp_path / "one.html", tmp_path / "two.html"]
    for page in pages:
        done = run(
            "evaluate", folder / "t.parquet", "-t", "y", "-p", "good", "-p", "bad", "-g", "region",
            "--report", page, "--batch-size", 99,
        )  # fmt: skip
        assert done.stderr.endswith(f"wrote {page}\n")
    text = pages[0].read_text(encoding="utf-8")
    assert text == pages[1].read_text(encoding="utf-8")
    assert text.count("<svg") == 2 + 4  # residuals, predictions against targets; four metrics
    assert "<script" not in text
    assert set(re.findall(r'(?:href|src)="(?!#)([^"]{0,11})', text)) <= {"data:image/"}
    assert "url(http" not in text
    assert "@import" not in text
    assert "&lt;b&gt;north&lt;/b&gt;" in text
    assert "<b>north" not in text
    assert f"{N:,} rows of <code>t.parquet</code>" in text


def test_pictures_of_a_report(tmp_path: Path, monkeypatch) -> None:
    """Pictures reach from the least to the largest number; intervals are of 1.96 standard errors."""
    figures: list[Figure] = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda f, *a, **k: (figures.append(f), save(f, *a, **k)))
    path = tmp_path / "t.csv"
    path.write_text("y,a,g\n0,1,u\n0,3,u\n1,2,v\n1,5,v\n")
    page = tmp_path / "t.html"
    run("evaluate", path, "-t", "y", "-p", "a", "-g", "g", "-m", "mae", "--report", page)
    residuals, pairs, groups = (figure.axes[0] for figure in figures)
    counts, edges, _ = residuals.patches[0].get_data()
    assert (edges[0], edges[-1], counts[0], counts.sum()) == (1, 4, 2, 4)
    (image,) = pairs.images
    assert list(image.get_extent()) == [0, 5, 0, 5]
    there = np.argwhere(np.isfinite(np.ma.filled(image.get_array(), np.nan)))  # 80 bins on a side
    assert there.tolist() == [[16, 0], [32, 16], [48, 0], [79, 16]]
    (bars,) = groups.containers
    ends = [segment[:, 0].tolist() for segment in bars.lines[2][0].get_segments()]
    # absolute errors of 1 and 3, then of 1 and 4: 2 with a standard error of 1, 2.5 with 1.5
    assert np.ravel(ends).tolist() == pytest.approx([0.04, 3.96, -0.44, 5.44], rel=1e-12)


WRITES = {
    "report": ("evaluate", "t.csv", "-t", "y", "-p", "good", "--report", "x.html"),
    "picture": ("show", "mse", "--png", "x.svg"),
}


@contextmanager
def full_disk() -> Iterator[None]:
    """Let no file grow beyond a hundred bytes."""
    resource = pytest.importorskip("resource")  # of Unix
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.fixture
def written(request, folder: Path, tmp_path: Path, monkeypatch) -> tuple[tuple[str, ...], Path]:
    """Return a command that writes a file into an empty folder, and that file."""
    words = WRITES[request.param]
    monkeypatch.chdir(tmp_path)
    return tuple(str(folder / word) if word == "t.csv" else word for word in words), Path(words[-1])


@pytest.mark.parametrize("written", WRITES, indirect=True)
def test_a_failed_write_leaves_what_was_there(written) -> None:
    """A full disk destroys no old file and leaves no part of a new file."""
    words, path = written
    for before in ({}, {path.name: b"old"}):
        for name, content in before.items():
            Path(name).write_bytes(content)
        with full_disk():
            done = run(*words, status=2)
        assert done.stderr.splitlines()[-1] == (
            f"isoloss: {path} cannot be written: File too large: free some space, or name a file "
            "on another disk"
        )
        assert {file.name: file.read_bytes() for file in Path().iterdir()} == before


@pytest.mark.parametrize("written", WRITES, indirect=True)
def test_a_new_file_replaces_the_old_file(written) -> None:
    """A new file has the permissions of the old file; a link to the file stays a link."""
    words, path = written
    Path("old").write_bytes(b"old")
    Path("old").chmod(0o640)
    path.symlink_to("old")
    run(*words)
    assert path.is_symlink()
    assert path.stat().st_mode & 0o777 == 0o640
    assert path.read_bytes().rstrip().endswith((b"</html>", b"</svg>"))
    assert {file.name for file in Path().iterdir()} == {"old", path.name}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is Linux's")
@pytest.mark.parametrize("written", WRITES, indirect=True)
def test_a_device_is_written_to_and_never_replaced(written) -> None:
    """The command writes through a link to a device, keeps the device, and tells its error."""
    words, path = written
    path.symlink_to("/dev/full")
    done = run(*words, status=2)
    assert done.stderr.splitlines()[-1] == (
        f"isoloss: {path} cannot be written: No space left on device: free some space, or name a "
        "file on another disk"
    )
    assert Path("/dev/full").is_char_device()
    path.unlink()
    path.symlink_to("/dev/null")
    run(*words)
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize("written", WRITES, indirect=True)
def test_a_folder_that_may_not_be_written_to_is_told(written, monkeypatch) -> None:
    """The command checks the permissions before it reads, and says where to write."""
    words, path = written
    monkeypatch.setattr(os, "access", lambda folder, mode: folder != Path.cwd())
    assert refused(*words) == (
        f"{path} cannot be written: Permission denied: name a file in a folder that you may write "
        "to"
    )
    long = f"{'a' * 300}{path.suffix}"
    assert refused(*words[:-1], long) == (
        f"{long} cannot be written: File name too long: give it a shorter name"
    )
    path.symlink_to(Path("no") / "file")
    assert refused(*words) == f"{path}: there is no folder {Path.cwd() / 'no'}"


def test_names_cannot_command_a_terminal(tmp_path: Path) -> None:
    """Tables, notes and errors write out the control characters and direction marks of names."""
    model, group, path = "a\x1b[2J\x85", "g\x1b]0;title\x07\t", tmp_path / "t.parquet"
    labels = ["\x9b31mred", "\u202eright\u2066\nto left"]
    table = pa.table({"y": [1.0, 2.0], model: [-3.0, 2.0], group: labels})
    parquet.write_table(table, path)
    done = run("evaluate", path, "-t", "y", "-p", model, "-g", group, "-m", "mae, msle,Huber(\n2)")
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["metric", r"a\x1b[2J\x85"]
    assert lines[3].startswith(r"Huber(\n2)  ↓ ")
    assert lines[5] == r"mae ↓ by g\x1b]0;title\x07\t"
    assert lines[6].split() == [r"g\x1b]0;title\x07\t", r"a\x1b[2J\x85"]
    assert lines[7].startswith(r"\x9b31mred  ")
    assert lines[8].startswith(r"\u202eright\u2066\nto left  ")
    assert done.stderr.startswith(r"isoloss: msle of a\x1b[2J\x85 is nan: ")
    assert all(line.isprintable() for line in (*lines, *done.stderr.splitlines()))
    assert refused("evaluate", path, "-t", "z", "-p", model) == (
        rf"{path} has no column 'z': it has y, a\x1b[2J\x85, g\x1b]0;title\x07\t"
    )
    assert refused("evaluate", path, "-t", "y", "-p", "a\x1b[2K\x85").endswith(
        r"; did you mean a\x1b[2J\x85?"
    )
    row = Row("numpy", "float32", "x\x1b[2J", "value", "plain", "", False)
    with (out := console()).capture() as captured:
        parity(out, [Report("f\x1b[2J", [row])])
    assert "\x1b" not in captured.get()
    assert captured.get().count(r"\x1b[2J") == 3


def test_histograms_count_every_row(folder: Path) -> None:
    """What the pictures are made of has a fixed size, and holds each row once."""
    from isoloss.cli.columns import opened
    from isoloss.cli.comparison import Comparison, compared, labels_in
    from isoloss.cli.distributions import BINS, Distributions, Ranges

    quiet = lambda what, share: None  # noqa: E731
    table = opened(folder / "t.parquet")
    comparison = Comparison(table, "y", ["good", "bad"], {"mse": il.mse}, rows=64)
    ranges = Ranges(["good", "bad"])
    labels_in(comparison, quiet, ranges)
    found = Distributions(ranges)
    compared(comparison, quiet, [], found)
    for model in ("good", "bad"):
        assert found.residuals[model].shape == (BINS,)
        assert found.residuals[model].sum() + found.beyond[model] == N
        assert found.pairs[model].shape == (BINS, BINS)
        assert found.pairs[model].sum() == N
    assert found.beyond["good"] == 0
    whole = parquet.read_table(folder / "t.parquet")
    residuals = whole["bad"].to_numpy() - whole["y"].to_numpy()
    counts, _ = np.histogram(residuals, found.edges)
    assert abs(found.residuals["bad"] - counts).sum() <= 2  # one at an edge may round over it


# --- parity ---------------------------------------------------------------------------------------

FUNCTIONS = """
import numpy as np
from array_api_compat import array_namespace
from isoloss.testing import Case
import isoloss as il

def agrees(p, t):
    return array_namespace(p).mean((p - t) ** 2)

def differs(p, t):
    return array_namespace(p).mean(p - t) + float(isinstance(p, np.ndarray))

def squares(a, b, c):
    return array_namespace(a).sum(a * a + b * b + c * c)

number = 3
case = Case(il.mse, ([1.0, 2.0], [0.0, 0.0]), name="a case", options={"transforms": ()})
CASES = [case, Case(agrees, ([1.0], [2.0]), options={"transforms": ()})]
"""


def test_parity(tmp_path: Path, monkeypatch) -> None:
    """A function of a module here, a case, several cases: a matrix, and status 1 where they differ."""
    pytest.importorskip("torch")
    (tmp_path / "functions.py").write_text(FUNCTIONS)
    (tmp_path / "broken.py").write_text("import nothing_of_this_name")
    (tmp_path / "raises.py").write_text("1 / 0")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    two = ["--library", "numpy", "--library", "array_api_strict"]
    lines = run("parity", "functions:agrees", *two).stdout.splitlines()
    assert lines[0].split() == ["function", "numpy", "array_api_strict"]
    assert re.fullmatch(r"agrees +ok [\d.]+ +ok [\d.]+", lines[1])
    done = run("parity", "functions:differs", *two, status=1)
    assert "DIFFERS" in done.stdout
    assert "comparisons disagree" in done.stdout
    squares = run("parity", "functions:squares", "--arguments", 3, "--shape", "4,2", *two, "--json")
    report = json.loads(squares.stdout)
    assert report[0]["name"] == "squares"
    assert report[0]["failures"] == 0
    several = ("--library", "numpy", "--library", "torch", "--json")
    named = json.loads(run("parity", "functions:CASES", *several).stdout)
    assert [one["name"] for one in named] == ["a case", "agrees"]
    for report in named:
        assert report["failures"] == 0
        assert {row["aspect"] for row in report["rows"]} >= {"value", "gradient"}
        assert "transform" not in {row["aspect"] for row in report["rows"]}
    assert "a case" in run("parity", "functions:case", *two).stdout
    assert "Huber()" in run("parity", "isoloss:huber", *two).stdout
    for words, text in (
        (["functions"], "'functions': write package.module:function"),
        (["huber"], "'huber': write isoloss:huber"),
        (["functions:agree"], "functions has no 'agree'; did you mean agrees?"),
        (["function:agrees"], "there is no module 'function', here or installed"),
        (["broken:f"], "broken cannot be imported: No module named 'nothing_of_this_name'"),
        (["raises:f"], "raises cannot be imported: ZeroDivisionError: division by zero"),
        (["functions:number"], "functions:number is a int: parity takes a function, a metric, a Case of isoloss.testing or a list of them"),
        (["isoloss:cross_entropy"], "SoftmaxCrossEntropy() is not of one prediction and one target for each sample: give its inputs in a Case of isoloss.testing"),
        (["functions:agrees", "--shape", "0"], "--shape 0: write sizes above 0, as in --shape 100 or --shape 8,3"),
        (["functions:agrees", "--library", "tensorflow"], "--library tensorflow: use numpy, array_api_strict, dask, jax, torch"),
        (["functions:agrees", "--dtype", "float8"], "--dtype float8: use float16, bfloat16, float32, float64"),
        (["functions:agrees", "--library", "numpy"], "only numpy is compared: name another --library, or pip install 'isoloss[jax,torch]'"),
    ):  # fmt: skip
        assert refused("parity", *words) == text


@pytest.mark.parametrize(
    "libraries",
    [
        ("array_api_strict",),
        pytest.param(("jax", "torch"), marks=pytest.mark.exhaustive),  # each metric is compiled
    ],
    ids="-".join,
)
def test_parity_of_our_own(libraries: tuple[str, ...]) -> None:
    """Without a function, ten metrics of isoloss agree."""
    words = [word for name in ("numpy", *libraries) for word in ("--library", name)]
    done = run("parity", *words)
    assert len(done.stdout.splitlines()) == 11
    assert done.stdout.count("  ok") == 10 * (1 + len(libraries))


# --- the command itself ---------------------------------------------------------------------------


def test_version_and_help(tmp_path: Path) -> None:
    """The command, run as a program, prints its version; each of its commands has a help."""
    from importlib.metadata import version

    done = process("--version", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"isoloss {version('isoloss')}\n", "")
    text = run("--help").stdout
    for command in ("list", "show", "parity", "evaluate"):
        assert f" {command} " in text
        assert f" {command} " in run(command, "--help").stdout


def test_mistakes_of_a_program_have_no_traceback(tmp_path: Path) -> None:
    """The status is 2, and the error stream has one line."""
    done = process("show", "hubr", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        "isoloss: there is no metric 'hubr'; did you mean huber? (isoloss list)\n"
    )
    done = run("evaluate", "t.csv", "-t", "y", status=2)
    assert "Missing option '--prediction'" in done.stderr


def test_without_the_extra(tmp_path: Path) -> None:
    """One line says what to install, and the status is 1."""
    code = (
        "import sys, importlib.util as u; find = u.find_spec\n"
        "def gone(name, *rest): return None if name in ('rich', 'typer') else find(name, *rest)\n"
        "u.find_spec = gone\n"
        "from isoloss.cli import main; sys.exit(main())"
    )
    done = process("list", cwd=tmp_path, code=code)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "isoloss: typer, rich not installed: pip install 'isoloss[cli]'\n"


def test_pipes_of_other_encodings(tmp_path: Path) -> None:
    """A pipe that has no arrows gets question marks, not an error."""
    path = tmp_path / "t.csv"
    path.write_text("y,a\n1,2\n2,2\n")
    done = process(
        "evaluate", path, "-t", "y", "-p", "a", "-m", "mae", cwd=tmp_path, PYTHONIOENCODING="ascii"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1] == "mae     ?  0.5 ? 0.5"


PEAK = """
import sys
from isoloss.cli import main
try:
    main()
except SystemExit:
    pass
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(int(peak.split()[1]) // 1024, file=sys.stderr)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read as Linux tells it")
def test_memory_is_constant(tmp_path: Path) -> None:
    """Of sixteen times the rows, in a file of 77 MB, the peak is at most 24 MiB higher."""
    peaks = []
    for rows in (100_000, 1_600_000):
        rng = np.random.default_rng(0)
        table = pa.table({name: rng.normal(size=rows) for name in ("y", "a", "b")} | {
            "w": rng.uniform(size=rows), "g": rng.integers(0, 9, rows)})  # fmt: skip
        path = tmp_path / f"{rows}.parquet"
        parquet.write_table(table, path, row_group_size=200_000)
        done = process(
            "evaluate", path, "-t", "y", "-p", "a", "-p", "b", "-w", "w", "-g", "g",
            cwd=tmp_path, code=PEAK,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        peaks.append(int(done.stderr.splitlines()[-1]))
    assert peaks[1] <= peaks[0] + 24, peaks


# --- files and words that nobody writes on purpose ------------------------------------------------


def npy(header: str) -> bytes:
    """Return the beginning of an npy file with this header."""
    text = header.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def header(kind: str, count: int = 5) -> bytes:
    return npy(f"{{'descr': '{kind}', 'fortran_order': False, 'shape': ({count},), }}")


def altered(data: bytes, local: int, central: int, value: bytes) -> bytes:
    """Overwrite a field of every entry of a zip file, in its header and in the table at the end."""
    changed = bytearray(data)
    for mark, place in ((b"PK\x03\x04", local), (b"PK\x01\x02", central)):
        start = changed.find(mark)
        while start >= 0:
            changed[start + place : start + place + len(value)] = value
            start = changed.find(mark, start + 4)
    return bytes(changed)


@pytest.mark.parametrize(
    ("member", "end"),
    [
        (npy("{'descr': '<f8', 'shape': (5,"), "broken.npz cannot be read: ('EOF in multi-line statement', (2, 0))"),
        (npy("  {'descr': '<f8'\n x: 1}"), "broken.npz cannot be read: Cannot parse header: \"  {'descr': '<f8'\\n x: 1}\\n\""),
        (npy("-" * 9000), "broken.npz cannot be read: "),
        (b"abc", "broken.npz cannot be read: EOF: reading magic string, expected 8 bytes got 3"),
        (b"\x93NUMPY\x02\x00" + (2**31 - 1).to_bytes(4, "little") + b" " * 99, "broken.npz: 'y' is damaged, with a header of 2,147,483,647 bytes: copy the file again, or write it again"),
        (header("<f8"), "broken.npz cannot be read: y.npy ends before its last number"),
    ],
    ids=["unclosed", "indented", "signs", "short", "long header", "cut"],
)  # fmt: skip
def test_damaged_arrays(member: bytes, end: str, tmp_path: Path) -> None:
    """A damaged member of an archive is a message, whatever NumPy raises, and claims no memory."""
    path, one = tmp_path / "broken.npz", io.BytesIO()
    np.save(one, np.arange(5.0))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("y.npy", member)
        archive.writestr("p.npy", one.getvalue())
    assert end in refused("evaluate", path, "-t", "y", "-p", "p")


@pytest.mark.parametrize(
    ("places", "value", "end"),
    [
        ((6, 8), b"\x01", "File 'y.npy' is encrypted, password required for extraction"),
        ((8, 10), b"\x4d\x00", "That compression method is not supported"),
        ((8, 10), b"\x0e\x00", ""),
    ],
    ids=["encrypted", "unknown compression", "no lzma"],
)
def test_damaged_archives(places: tuple[int, int], value: bytes, end: str, tmp_path: Path) -> None:
    """An archive that Python's zipfile refuses, or fails in, is a message."""
    path = tmp_path / "broken.npz"
    np.savez(path, y=np.arange(5.0), p=np.arange(5.0))
    path.write_bytes(altered(path.read_bytes(), *places, value))
    assert f"{path} cannot be read: {end}" in refused("evaluate", path, "-t", "y", "-p", "p")


def test_groups_that_are_no_labels(tmp_path: Path) -> None:
    """Lists, dates beyond Python's and labels of megabytes are refused with a message."""
    path, ends = tmp_path / "t.feather", pa.array([2**62, -(2**62)], pa.timestamp("s"))
    feather.write_feather(pa.table({"y": [1.0, 2.0], "g": [[1], [2]], "t": ends}), path)
    assert refused("evaluate", path, "-t", "y", "-p", "y", "-g", "g").endswith(
        "column 'g' is of type list<item: int64>; groups need a column of text, numbers or dates"
    )
    assert f"{path} cannot be read: " in refused("evaluate", path, "-t", "y", "-p", "y", "-g", "t")
    path, one = tmp_path / "long.npz", io.BytesIO()
    np.save(one, np.arange(5.0))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("g.npy", header("<U67108864"))
        archive.writestr("y.npy", one.getvalue())
    assert refused("evaluate", path, "-t", "y", "-p", "y", "-g", "g").endswith(
        "'g' has labels of 268,435,456 bytes each; labels have at most 16,384 letters"
    )


def test_paths_that_cannot_be_read(tmp_path: Path) -> None:
    """A name that is too long, and one that is not UTF-8, are messages."""
    assert refused("evaluate", f"{'a' * 300}.csv", "-t", "y", "-p", "p").endswith(
        ".csv cannot be read: File name too long"
    )
    path = tmp_path / "caf\udce9.csv"
    path.write_text("y,p\n1,2\n")
    assert refused("evaluate", path, "-t", "y", "-p", "p").endswith(
        "cannot be read: its path is not UTF-8; rename the file"
    )


@pytest.mark.parametrize(
    ("words", "end"),
    [
        (["-m", "huber:delta={}"], "delta must be a number or an array of them, not {}"),
        (["-m", f"Huber(delta={'-' * 20_000}1)"], "is not a metric; write 'Huber(delta=2.0)', say"),
        (["-m", f"Huber(delta={'-' * 300}1)"], "is not a number, a word or a tuple"),
    ],
    ids=["dict", "signs", "some signs"],
)
def test_parameters_that_are_no_numbers(words: list[str], end: str, folder: Path) -> None:
    """A parameter that Python cannot read, or that is of another type, is a message."""
    assert refused("evaluate", folder / "t.npz", "-t", "y", "-p", "good", *words).endswith(end)


@pytest.mark.parametrize(
    ("words", "end"),
    [
        (["huber", "--target", "inf"], "--target inf: write a finite number"),
        (["huber", "--range=-1e308,1e308"], "--range -1e308,1e308: write finite numbers of which the difference is finite"),
        (["huber", "--range=nan,1"], "--range nan,1: write finite numbers of which the difference is finite"),
        (["mse", "--range=1e200,1e201"], "no value of MeanSquaredError() between 1e+200 and 1e+201 is a finite number: choose --target and --range nearer to 0"),
    ],
)  # fmt: skip
def test_pictures_of_nothing_finite(words: list[str], end: str) -> None:
    """A picture that would have no point is refused with the numbers that caused it."""
    assert refused("show", *words).endswith(end)


def test_output_and_memory_that_end() -> None:
    """A full disk behind the output and an array beyond memory are messages."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "isoloss.cli", "list"],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (
        2,
        "isoloss: the output cannot be written: No space left on device\n",
    )
    text = refused("parity", "--shape", "99999999999999", "--library", "numpy")
    assert text.endswith("ask for less at once")
