"""Names of other libraries are answered with ours, by the table that the migration pages show."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import isoloss as il
from isoloss.metrics.names_elsewhere import NAMES, suggestion

MIGRATE = Path(__file__).parents[1] / "docs" / "migrate"
PAGES = {
    "PyTorch": "torch",
    "Keras": "keras",
    "optax": "optax",
    "scikit-learn": "scikit-learn",
    "torchmetrics": "torchmetrics",
}
NOT_NAMES = (
    "None",
    "jnp.mean",
    "torch.distributions",
    "log_prob",
)  # an option's value, and two modules' words


def names_in(cell: str) -> list[str]:
    """Return the names in the first cell of a row: ``_recall`` and ``multiscale_...`` are cut."""
    found: list[str] = []
    for span in re.findall(r"`([^`]+)`", cell):
        match = re.match(r"-?([\w.]*\w|_)(?!\w*=)", span)
        if match is None or re.match(r"\w+=", span) or match[1] in NOT_NAMES:
            continue
        name = match[1].rpartition(".")[2] if not span.endswith("...") else span
        if name.startswith("_"):
            name = found[0].partition("_")[0] + name
        elif name.endswith("..."):
            name = name.removesuffix("...") + found[0]
        found.append(name)
    return found


def rows(page: str) -> list[tuple[list[str], list[str]]]:
    """Return the names and the code of each row that has both."""
    lines = (MIGRATE / f"{page}.md").read_text().splitlines()
    table = [
        line.split("|") for line in lines if line.startswith("|") and not line.startswith("|---")
    ]
    pairs = [(names_in(cells[1]), re.findall(r"`([^`]+)`", cells[2])) for cells in table]
    return [(names, [code.replace("il.", "") for code in codes]) for names, codes in pairs if names]


@pytest.mark.parametrize("library", PAGES)
def test_the_migration_pages_and_the_table_agree(library: str) -> None:
    """Every name of a page is in the table with code of its row, and the reverse."""
    table = {(theirs, ours) for known, theirs, ours in NAMES if known == library}
    shown = set()
    for names, codes in rows(PAGES[library]):
        for name in names:
            pairs = {(name, code) for code in codes} & table
            assert pairs, f"{library}: {name} -> {codes} is not in names_elsewhere.py"
            shown |= pairs
    assert len(shown) > 20
    assert table - shown == set()


def test_what_the_table_names_is_public() -> None:
    """The code of every row begins with something that this library has."""
    for library, theirs, ours in NAMES:
        words = re.findall(r"[A-Za-z_]\w*", ours)
        assert any(hasattr(il, word) for word in words) or ours.startswith(
            ("metric.", "loss.", "state", "axis=", "reduction=")
        ), (
            library,
            theirs,
        )


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "mse_loss",
            "isoloss has no mse_loss; write isoloss.mean_squared_error (mse_loss of PyTorch)",
        ),
        (
            "MSELoss",
            "isoloss has no MSELoss; did you mean mse?",
        ),
        (
            "l1_loss",
            "isoloss has no l1_loss; write isoloss.mean_absolute_error (l1_loss of PyTorch)",
        ),
        (
            "huber_loss",
            "isoloss has no huber_loss; write isoloss.Huber(delta=d) (huber_loss of PyTorch, optax)",
        ),
        ("f1_score", "isoloss has no f1_score; write isoloss.F1Score (f1_score of scikit-learn)"),
        (
            "accuracy_score",
            "isoloss has no accuracy_score; write isoloss.accuracy (accuracy_score of scikit-learn)",
        ),
        (
            "sigmoid_binary_cross_entropy",
            "isoloss has no sigmoid_binary_cross_entropy; write isoloss.sigmoid_cross_entropy (sigmoid_binary_cross_entropy of optax)",
        ),
        (
            "sparse_categorical_crossentropy",
            "isoloss has no sparse_categorical_crossentropy; write isoloss.SoftmaxCrossEntropy(ignore_index=i) or isoloss.log_loss (SparseCategoricalCrossentropy of Keras)",
        ),
        ("BCEWithLogitsLoss", "isoloss has no BCEWithLogitsLoss; did you mean bce_with_logits?"),
        ("Rmse", "isoloss has no Rmse; did you mean rmse?"),
        ("hubre", "isoloss has no hubre; did you mean huber?"),
        ("nothing_like_it_at_all", "isoloss has no nothing_like_it_at_all"),
    ],
)
def test_suggestions(name: str, text: str) -> None:
    """A name that is not ours is answered with the code to type, whatever its spelling."""
    assert suggestion(name) == text
    with pytest.raises(AttributeError) as caught:
        getattr(il, name)
    assert str(caught.value) == text
    assert not hasattr(il, name)


@pytest.mark.parametrize(
    "name",
    [
        "CrossEntropyLoss",
        "cross_entropy_loss",
        "auroc",
        "BinaryAUROC",
        "NLLLoss",
        "KLDivLoss",
        "HuberLoss",
    ],
)
def test_other_spellings(name: str) -> None:
    """Classes, functions and names without their prefix lead to the same rows."""
    assert "write isoloss." in suggestion(name) or "did you mean" in suggestion(name)
    assert "dice" not in suggestion(name)


def test_private_names_are_not_looked_up() -> None:
    """What Python and tools ask of modules costs no search."""
    with pytest.raises(AttributeError, match=r"^module 'isoloss' has no attribute '__wrapped__'$"):
        _ = il.__wrapped__
