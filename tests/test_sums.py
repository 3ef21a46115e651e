"""Sums of losses, by hand on every library; what cannot be added is refused."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

import isoloss as il

LOSS = il.mse + 0.5 * il.mae
P, T = [1.0, 3.0], [0.0, 1.0]


@pytest.fixture(params=["numpy", "jax.numpy", "torch"])
def xp(request: pytest.FixtureRequest) -> Any:
    return pytest.importorskip(request.param)


def array(xp: Any, numbers: list[Any]) -> Any:
    return xp.asarray(numbers)


def test_losses_of_labels(xp: Any) -> None:
    """Cross-entropies are added unless a label or a weight of a class decides what counts."""
    loss = il.softmax_cross_entropy + 0.5 * il.multiclass_hinge
    logits, labels = array(xp, [[0.0, 0.0], [1.0, 3.0]]), array(xp, [0, 1])
    # log 2 and log(1 + exp(-2)); hinges of 1 - 0 and max(0, 1 - 2)
    want = (np.log(2) + np.log1p(np.exp(-2.0))) / 2 + 0.5 * (1.0 + 0.0) / 2
    assert float(loss(logits, labels)) == pytest.approx(want, rel=1e-6)
    # softmax minus the label, and the hinge's 1 and -1, each over the number of samples
    slope = np.asarray(il.gradient(loss, logits, labels))
    share = 1 / (1 + np.exp(2.0))
    np.testing.assert_allclose(slope, [[-0.5, 0.5], [share / 2, -share / 2]], rtol=1e-5)
    assert np.isnan(float(loss(logits, array(xp, [0, 2]))))


def test_values_and_gradients(xp: Any) -> None:
    """Every number here is exact in float32: (1 + 4) / 2 + 0.5 (1 + 2) / 2, and so on."""
    p, t = array(xp, P), array(xp, T)
    assert float(LOSS(p, t)) == 3.25
    assert float(LOSS(p, t, weights=array(xp, [1.0, 3.0]))) == 4.125
    assert float(LOSS(p, t, where=array(xp, [True, False]))) == 1.5
    assert LOSS(p, t, reduction="none").tolist() == [1.5, 5.0]
    assert float(LOSS(p, t, reduction="sum")) == 6.5
    assert il.gradient(LOSS, p, t).tolist() == [1.25, 2.25]
    first, second = il.gradient_hessian(LOSS, p, t)
    assert first.tolist() == [2.5, 4.5]
    assert second.tolist() == [2.0, 2.0]
    one = LOSS.summary(p[:1], t[:1])
    assert float(LOSS.compute(one.merge(LOSS.summary(p[1:], t[1:])))) == 3.25


def test_compiled_and_differentiated() -> None:
    """JAX compiles and differentiates a sum; so does PyTorch's autograd."""
    jax = pytest.importorskip("jax")
    p, t = jax.numpy.asarray(P), jax.numpy.asarray(T)
    value, slope = jax.jit(jax.value_and_grad(LOSS))(p, t)
    assert float(value) == 3.25
    assert slope.tolist() == [1.25, 2.25]
    torch = pytest.importorskip("torch")
    leaf = torch.tensor(P, requires_grad=True)
    LOSS(leaf, torch.tensor(T)).backward()
    assert leaf.grad.tolist() == [1.25, 2.25]


def test_excluded_samples_reach_no_gradient() -> None:
    """A nan that where= leaves out stays out of value and gradient."""
    options: dict[str, Any] = {"where": np.array([True, False])}
    value, slope = il.value_and_gradient(LOSS, [1.0, np.nan], [0.0, np.inf], **options)
    assert value == 1.5
    assert slope.tolist() == [2.5, 0.0]


def test_forms() -> None:
    """Sums are flat; multiples, quotients and differences are made of `Scaled`."""
    mse, mae, huber = il.mse, il.mae, il.huber
    assert (mse + mae) + huber == mse + (mae + huber) == sum([mse, mae, huber])
    assert (mse + mae + huber).losses == (mse, mae, huber)
    assert mse / 2 == 0.5 * mse == np.float64(0.5) * mse == il.Scaled(mse, 0.5)
    assert mse - mae == il.Sum((mse, il.Scaled(mae, -1)))
    assert (2 * LOSS)(P, T) == 6.5
    assert (LOSS / 2)(P, T) == 1.625
    assert pickle.loads(pickle.dumps(LOSS)) == LOSS
    assert hash(LOSS) == hash(il.mse + 0.5 * il.mae)
    found = il.evaluate({"a": LOSS, "b": il.mse}, P, T, standard_error=True)
    assert found["a"].value == 3.25
    assert found["a"].standard_error == 1.75


def test_domain_is_that_of_all() -> None:
    """A sample outside the domain of one loss is nan; excluded ones are replaced inside of both."""
    loss = il.poisson_deviance + il.mse
    assert np.isnan(loss([-1.0], [1.0]))
    assert loss([1.0, -1.0], [1.0, -1.0], where=np.array([True, False])) == 0.0
    assert loss.domain.predictions.low == 0.0


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: il.rmse + il.mse, TypeError, "RootMean|Root.* cannot be added: it is not the mean"),
        (lambda: il.softmax_cross_entropy + il.SoftmaxCrossEntropy(ignore_index=0), ValueError, "its targets decide"),
        (lambda: il.SoftmaxCrossEntropy(class_weights=(1.0, 2.0)) + il.multiclass_hinge, ValueError, "its targets decide"),
        (lambda: il.mse + il.r2_score, TypeError, "R2Score.* cannot be added: it is not the mean"),
        (lambda: il.mse + il.accuracy, TypeError, "Accuracy.* cannot be added: greater is better"),
        (lambda: il.mse + 1, TypeError, "unsupported operand"),
        (lambda: il.mse * il.mae, TypeError, "unsupported operand"),
        (lambda: il.mse / il.mae, TypeError, "unsupported operand"),
        (lambda: il.Sum((1.0,)), TypeError, "Sum takes losses such as isoloss.huber, not 1.0"),
        (lambda: il.Sum(()), TypeError, "Sum takes a tuple of losses"),
        (lambda: il.mse + il.kl_divergence, ValueError, "cannot be added: they take different inputs"),
        (lambda: il.mse + il.softmax_cross_entropy, ValueError,
         r"different inputs: predictions and targets \(...\) of any numbers, and predictions \(..., classes\)"),
    ],
)  # fmt: skip
def test_what_cannot_be_added(make: Any, error: type[Exception], message: str) -> None:
    """Metrics that are no losses, scores, and losses of other inputs are refused with the reason."""
    with pytest.raises(error, match=message):
        make()
