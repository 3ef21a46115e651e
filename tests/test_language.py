"""Losses of language models: their edges, and the cross-entropy of a layer, chunk by chunk."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from mpmath import mp

import isoloss as il
from conformance.kit.backends import BACKENDS, installed

every_library = pytest.mark.parametrize("library", installed())
INF = math.inf


# --- distillation ---------------------------------------------------------------------------------


def test_distillation_at_equal_logits_bends_as_a_quadratic() -> None:
    """The second derivative of the divergence at its zero is diag(q) - q q', whatever T is."""
    torch = pytest.importorskip("torch")
    teacher = torch.tensor([0.5, -1.25, 2.0, 0.0], dtype=torch.float64)
    for temperature in (0.5, 1.0, 4.0):
        metric = il.DistillationKL(temperature=temperature)
        bent = torch.func.hessian(lambda z, m=metric: m(z, teacher))(teacher)
        q = torch.softmax(teacher / temperature, 0)
        torch.testing.assert_close(
            bent, torch.diag(q) - q[:, None] * q, rtol=1e-13, atol=4 * 2.0**-52
        )


def test_distillation_of_large_temperature_is_half_the_variance() -> None:
    """Hinton, Vinyals and Dean (2015), equation 4: matching logits is the limit."""
    z, t = np.array([1.0, -2.0, 4.0]), np.array([0.5, 1.0, -1.0])
    loss = il.DistillationKL(temperature=1e7)(z, t)
    assert loss == pytest.approx(np.var(z - t) / 2, rel=8 * 2.0**-23)


@every_library
def test_distillation_of_ruled_out_classes(library: str) -> None:
    """A class that both rule out is none; one that only the student does is infinitely far off."""
    backend = BACKENDS[library]()
    array = lambda x: backend.array(x, "float32")  # noqa: E731
    both = il.distillation_kl(array([[0.5, -INF, 1.5]]), array([[1.0, -INF, 0.25]]))
    without = il.distillation_kl(array([[0.5, 1.5]]), array([[1.0, 0.25]]))
    assert float(both) == pytest.approx(float(without), rel=8 * 2.0**-23)
    student = array([[0.5, -INF, 1.5]])
    assert float(il.distillation_kl(student, array([[1.0, 3.0, 0.25]]))) == INF
    for mode in backend.modes[: 1 if library == "jax" else None]:
        slopes = backend.gradient(mode, il.distillation_kl, student, array([[1.0, -INF, 0.25]]))
        found = np.asarray(backend.numbers(slopes))
        assert np.isfinite(found).all()
        assert found[0, 1] == 0


# --- preferences and policies ---------------------------------------------------------------------


def test_an_answer_without_any_probability() -> None:
    """An answer that is ruled out decides the preference."""
    zero = np.zeros(1)
    assert il.dpo((zero, zero - INF), (zero, zero)) == 0.0
    assert il.dpo((zero - INF, zero), (zero, zero)) == INF


def test_the_divergence_is_a_constant() -> None:
    """No gradient of KTO goes through the reference point, and a negative estimate is 0."""
    torch = pytest.importorskip("torch")
    divergence = torch.tensor([0.5, 0.25], requires_grad=True)
    policy = torch.tensor([-1.0, -2.0], requires_grad=True)
    il.kto(policy, (torch.tensor([-1.5, -1.0]), torch.tensor([1.0, 0.0]), divergence)).backward()
    assert divergence.grad is None or (divergence.grad == 0).all()
    assert (policy.grad != 0).all()
    below = il.kto([-1.0], ([-1.5], [True], [-3.0]))
    assert below == il.kto([-1.0], ([-1.5], [True], 0.0))
    assert math.isnan(il.kto([-1.0], ([-1.5], [0.5], 0.0)))


@every_library
def test_the_clip(library: str) -> None:
    """Beyond the bound on the advantage's side nothing is left to gain; on the other, all is lost."""
    backend = BACKENDS[library]()
    new = np.array([0.5, -0.5, 0.5, -0.5, 300.0, -300.0, 300.0])
    advantages = np.array([1.0, 1.0, -1.0, -1.0, 2.0, -2.0, 0.0])
    ratio = np.exp(new)
    values = [-1.2, -ratio[1], ratio[2], 0.8, -2.4, 1.6, 0.0]
    slopes = [0.0, -ratio[1], ratio[2], 0.0, 0.0, 0.0, 0.0]
    array = lambda x: backend.array(x.tolist(), "float32")  # noqa: E731
    p, t = array(new), (array(0 * new), array(advantages))
    np.testing.assert_allclose(
        backend.numbers(il.ppo_clip(p, t, reduction="none")), values, rtol=8 * 2.0**-23
    )
    for mode in backend.modes[: 1 if library == "jax" else None]:
        found = backend.gradient(mode, il.ppo_clip, p, t, denominator=1.0)
        np.testing.assert_allclose(backend.numbers(found), slopes, rtol=8 * 2.0**-23)


# --- the cross-entropy of a linear layer ----------------------------------------------------------

TOKENS, FEATURES, CLASSES = 23, 6, 11
OPTIONS: list[dict[str, Any]] = [
    {"label_smoothing": smoothing, "z_loss": z_loss, "chunk": chunk}
    for smoothing, z_loss, chunk in itertools.product((0.0, 0.125), (0.0, 0.25), (None, 5))
]


def drawn() -> dict[str, np.ndarray]:
    """A layer and tokens; of those that do not count, nothing is a number."""
    rng = np.random.default_rng(0)
    normal = lambda *shape: rng.normal(0.0, 1.0, shape).astype(np.float32)  # noqa: E731
    data = {"hidden": normal(TOKENS, FEATURES), "weight": normal(CLASSES, FEATURES)}
    data["bias"] = normal(CLASSES)
    data["targets"] = rng.integers(0, CLASSES, TOKENS)
    data["weights"] = rng.uniform(0.5, 2.0, TOKENS).astype(np.float32)
    data["where"] = rng.uniform(size=TOKENS) < 0.8
    data["weights"][5] = 0.0
    data["targets"][3] = -100
    for place in (3, 5, *np.flatnonzero(~data["where"])):
        data["hidden"][place] = np.nan
    return data


def by_definition(data: dict[str, Any], label_smoothing: float, z_loss: float) -> list[np.ndarray]:
    """The mean and its gradients by hidden, weight and bias, written out, in float64."""
    counts = data["where"] & (data["weights"] != 0) & (data["targets"] >= 0)
    h = np.where(counts[:, None], data["hidden"], 0).astype(np.float64)
    w, b = data["weight"].astype(np.float64), data["bias"].astype(np.float64)
    y, factor = np.where(counts, data["targets"], 0), np.where(counts, data["weights"], 0.0)
    factor = factor / factor.sum()
    z = h @ w.T + b
    whole = np.log(np.exp(z).sum(axis=1))
    shares = np.full(z.shape, label_smoothing / CLASSES)
    shares[np.arange(TOKENS), y] += 1 - label_smoothing
    losses = whole - (shares * z).sum(axis=1) + z_loss * whole**2
    p = np.exp(z - whole[:, None])
    slope = factor[:, None] * (p * (1 + 2 * z_loss * whole)[:, None] - shares)
    return [(factor * losses).sum(), slope @ w, slope.T @ h, slope.sum(axis=0)]


def close(found: Any, exact: Any, ulps: float = 8.0) -> None:
    """Within some ULP of float32 of the largest number."""
    found = np.asarray(found, dtype=np.float64)
    assert np.abs(found - exact).max() <= ulps * 2.0**-23 * np.abs(exact).max()


def given(library: str, data: dict[str, np.ndarray]) -> tuple[Any, list[Any], dict[str, Any]]:
    """The arrays of a library: hidden, weight and bias; what else there is."""
    xp = BACKENDS[library]().xp
    made = {name: xp.asarray(x.copy()) for name, x in data.items()}
    return made.pop("targets"), [made.pop(name) for name in ("hidden", "weight", "bias")], made


@every_library
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_value_and_gradient_of_a_layer(library: str, options: dict[str, Any]) -> None:
    """Chunks or not, smoothed or not: the value and all gradients are those of the definition."""
    backend, data = BACKENDS[library](), drawn()
    exact = by_definition(data, options["label_smoothing"], options["z_loss"])
    loss = il.LinearCrossEntropy(ignore_index=-100, **options)
    targets, (hidden, weight, bias), rest = given(library, data)
    value, slopes = loss.value_and_gradient(hidden, weight, targets, bias=bias, **rest)
    found = [value, loss(hidden, weight, targets, bias=bias, **rest), *slopes]
    for one, want in zip(found, (exact[0], *exact), strict=True):
        assert backend.dtype(np.asarray(one) if library == "numpy" else one) == "float32"
        close(backend.numbers(one), want)


@pytest.mark.parametrize("options", OPTIONS[1::2], ids=str)
def test_a_layer_in_jax(options: dict[str, Any]) -> None:
    """Reverse and forward mode, compiled and not, of batches, and twice."""
    jax = pytest.importorskip("jax")
    data = drawn()
    exact = by_definition(data, options["label_smoothing"], options["z_loss"])
    loss = il.LinearCrossEntropy(ignore_index=-100, **options)
    targets, layer, rest = given("jax", data)

    def function(hidden: Any, weight: Any, bias: Any) -> Any:
        return loss(hidden, weight, targets, bias=bias, **rest)

    for transform in (jax.grad, jax.jacfwd):
        for found in (
            transform(function, (0, 1, 2))(*layer),
            jax.jit(transform(function, (0, 1, 2)))(*layer),
        ):
            for one, want in zip(found, exact[1:], strict=True):
                close(one, want)
    twice = jax.vmap(function, (0, None, None))(jax.numpy.stack([layer[0], layer[0]]), *layer[1:])
    close(twice, exact[0])

    def plain(hidden: Any, weight: Any, bias: Any) -> Any:
        metric = il.SoftmaxCrossEntropy(
            ignore_index=-100, label_smoothing=options["label_smoothing"], z_loss=options["z_loss"]
        )
        return metric(hidden @ weight.T + bias, targets, **rest)

    kept = jax.numpy.where(jax.numpy.isnan(layer[0]), 0, layer[0])
    bent = [jax.jacfwd(jax.grad(f, 1), 0)(kept, *layer[1:]) for f in (function, plain)]
    close(bent[0], bent[1], 64)


@pytest.mark.parametrize("options", OPTIONS[1::2], ids=str)
def test_a_layer_in_torch(options: dict[str, Any]) -> None:
    """Backward once and again, twice, by torch.func, in forward mode and compiled."""
    torch = pytest.importorskip("torch")
    data = drawn()
    exact = by_definition(data, options["label_smoothing"], options["z_loss"])
    loss = il.LinearCrossEntropy(ignore_index=-100, **options)
    targets, layer, rest = given("torch", data)
    leaves = [x.requires_grad_() for x in layer]

    def function(hidden: Any, weight: Any, bias: Any) -> Any:
        return loss(hidden, weight, targets, bias=bias, **rest)

    value = function(*leaves)
    for kept in (True, True, False):  # what was kept for the first is not there for the others
        for one, want in zip(
            torch.autograd.grad(value, leaves, retain_graph=kept), exact[1:], strict=True
        ):
            assert one.dtype == torch.float32
            close(one, want)
    with torch.no_grad():
        close(function(*leaves), exact[0])
    (alone,) = torch.autograd.grad(
        function(layer[0].detach(), leaves[1], layer[2].detach()), leaves[1]
    )
    close(alone, exact[2])
    plain = [x.detach() for x in leaves]
    for found in (
        torch.func.grad(function, (0, 1, 2))(*plain),
        torch.func.jacfwd(function, (0, 1, 2))(*plain),
    ):
        for one, want in zip(found, exact[1:], strict=True):
            close(one, want)
    wide = [torch.nan_to_num(x.detach()).double().requires_grad_() for x in leaves]
    # what a first backward finds kept, a second computes again, in another order
    assert torch.autograd.gradcheck(function, wide, nondet_tol=1e-14)
    assert torch.autograd.gradgradcheck(function, wide, nondet_tol=1e-14)
    compiled = torch.compile(function, fullgraph=True, backend="aot_eager")
    for one, want in zip(torch.autograd.grad(compiled(*leaves), leaves), exact[1:], strict=True):
        close(one, want)


@every_library
def test_sure_answers_of_a_layer(library: str) -> None:
    """A loss and a slope far below the spacing of 1 have their digits; extreme logits are exact."""
    hidden, weight = np.array([[1.0]], np.float32), np.array([[20.0], [0.0], [0.0]], np.float32)
    targets, (h, w, b), _ = given(
        library, {"hidden": hidden, "weight": weight, "bias": np.zeros(3, np.float32), "targets": np.array([0])}
    )  # fmt: skip
    backend = BACKENDS[library]()
    value, slopes = il.linear_cross_entropy.value_and_gradient(h, w, targets, bias=b)
    with mp.workdps(40):
        tail = 2 * mp.exp(-20)
        loss, share = mp.log(1 + tail), mp.exp(-20) / (1 + tail)
    assert float(value) == pytest.approx(float(loss), rel=8 * 2.0**-23)
    close(backend.numbers(slopes[2]), [-2 * float(share), float(share), float(share)])
    for label, want in ((0, 0.0), (1, 2e4)):
        found = il.linear_cross_entropy(h * 1000, w, targets + label)
        assert float(found) == want


@every_library
def test_a_class_that_the_bias_rules_out(library: str) -> None:
    """A bias of -inf is a padded vocabulary: the class is none, and its row gets no gradient."""
    data = drawn()
    data = {name: data[name][6:9] if name in ("hidden", "targets") else data[name]
            for name in ("hidden", "weight", "bias", "targets")}  # fmt: skip
    data["hidden"] = np.nan_to_num(data["hidden"])
    data["targets"] = data["targets"] % 10
    fewer = {**data, "weight": data["weight"][:10], "bias": data["bias"][:10]}
    data["bias"][10] = -INF
    backend = BACKENDS[library]()
    found = []
    for one in (data, fewer):
        targets, (h, w, b), _ = given(library, one)
        found.append(il.linear_cross_entropy.value_and_gradient(h, w, targets, bias=b))
    close(backend.numbers(found[0][0]), float(found[1][0]))
    by_weight = np.asarray(backend.numbers(found[0][1][1]))
    assert (by_weight[10] == 0).all()
    close(by_weight[:10], np.asarray(backend.numbers(found[1][1][1])))


@every_library
def test_labels_of_a_layer(library: str) -> None:
    """A label that is none makes the loss nan, unless it is to be ignored; nothing left is nan too."""
    data = {name: x for name, x in drawn().items() if name not in ("weights", "where")}
    data["hidden"] = np.nan_to_num(data["hidden"])
    targets, (h, w, _), _ = given(library, data)
    assert math.isnan(float(il.linear_cross_entropy(h, w, targets)))
    kept = il.LinearCrossEntropy(ignore_index=-100)
    assert math.isfinite(float(kept(h, w, targets)))
    alike = 0 * targets - 100
    assert math.isnan(float(kept(h, w, alike)))
    assert float(kept(h, w, alike, empty=0.0)) == 0.0
    _, slopes = kept.value_and_gradient(h, w, alike)
    assert all((np.asarray(BACKENDS[library]().numbers(x)) == 0).all() for x in slopes)


@every_library
def test_totals_of_a_layer_add_up(library: str) -> None:
    """States of micro-batches merge to that of the batch; so do sums over a common denominator."""
    data = drawn()
    exact = by_definition(data, 0.0, 0.0)[0]
    loss = il.LinearCrossEntropy(ignore_index=-100)
    targets, (h, w, b), rest = given(library, data)
    parts = [slice(0, 9), slice(9, TOKENS)]
    calls = [
        ((h[s, :], w, targets[s]), {"bias": b, **{k: x[s] for k, x in rest.items()}}) for s in parts
    ]
    one, two = (loss.summary(*a, **k) for a, k in calls)
    close(float(loss.compute(one.merge(two))), exact)
    weight = float(one.weight.sum + two.weight.sum)
    close(sum(float(loss(*a, **k, denominator=weight)) for a, k in calls), exact)
    close(sum(float(loss(*a, **k, reduction="sum")) for a, k in calls) / weight, exact)


@every_library
def test_it_is_softmax_cross_entropy_of_the_logits(library: str) -> None:
    """Any shape of tokens, one feature or one class: the same number as with all logits at once."""
    rng = np.random.default_rng(1)
    for shape, features, classes in (((2, 3, 4), 5, 1500), ((7,), 1, 2), ((), 3, 4), ((3,), 2, 1)):
        h = rng.normal(size=(*shape, features)).astype(np.float32)
        w = rng.normal(size=(classes, features)).astype(np.float32)
        y = rng.integers(0, classes, shape)
        want = il.softmax_cross_entropy(h.astype(np.float64) @ w.T.astype(np.float64), y)
        targets, (hidden, weight, _), _ = given(
            library, {"hidden": h, "weight": w, "bias": w[:, 0], "targets": np.asarray(y)}
        )
        found = float(il.LinearCrossEntropy(chunk=2)(hidden, weight, targets))
        assert found == pytest.approx(float(want), rel=16 * 2.0**-23, abs=1e-30)


@pytest.mark.parametrize("library", [x for x in installed() if x in ("jax", "torch", "numpy")])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_of_a_layer(library: str, dtype: str) -> None:
    """A value in float32, gradients in the dtype that came in, that of weight rounded once."""
    backend = BACKENDS[library]()
    if dtype not in backend.dtypes:
        pytest.skip(f"{library} has no {dtype}")
    rng = np.random.default_rng(2)
    h, w = (backend.array(rng.normal(size=s).tolist(), dtype) for s in ((40, 8), (30, 8)))
    y = backend.xp.asarray(rng.integers(0, 30, 40))
    wide = [np.array(backend.numbers(backend.xp.asarray(x, dtype=backend.xp.float32)
            if library != "torch" else x.float())) for x in (h, w)]  # fmt: skip
    exact, slopes = il.linear_cross_entropy.value_and_gradient(*wide, np.array(backend.numbers(y)))
    loss = il.LinearCrossEntropy(chunk=7)
    value, found = loss.value_and_gradient(h, w, y)
    unit = {"float16": 2.0**-10, "bfloat16": 2.0**-7}[dtype]
    assert float(value) == pytest.approx(float(exact), rel=unit)
    for one, want in zip(found, slopes, strict=True):
        assert backend.dtype(one) == dtype
        numbers = np.array(backend.numbers(one), dtype=np.float64)
        assert np.abs(numbers - want).max() <= 2 * unit * np.abs(want).max()


def test_autocast() -> None:
    """Under torch.autocast the layer multiplies in what autocast says, as torch.nn.Linear does."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    h, w, y = (
        torch.randn(30, 8, requires_grad=True),
        torch.randn(20, 8, requires_grad=True),
        torch.arange(30) % 20,
    )
    with torch.autocast("cpu", torch.bfloat16):
        value = il.LinearCrossEntropy(chunk=7)(h, w, y)
        logits = torch.nn.functional.linear(h, w)
    assert logits.dtype == torch.bfloat16
    assert value.dtype == torch.float32
    close(value.detach(), float(il.softmax_cross_entropy(logits.detach(), y)))
    assert {x.dtype for x in torch.autograd.grad(value, (h, w))} == {torch.float32}


MESSAGES: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"weight": np.zeros(3)}, ValueError, "weight has shape (3,): it must be (classes, features)"),
    (
        {"weight": np.zeros((3, 4))},
        ValueError,
        "hidden has shape (5, 3) and weight (3, 4); turn the matrix round: weight.T",
    ),
    (
        {"weight": np.zeros((6, 4))},
        ValueError,
        "hidden has shape (5, 3) and weight (6, 4); hidden must be (..., features), weight (classes, features)",
    ),
    (
        {"bias": np.zeros(3)},
        ValueError,
        "bias has shape (3,); it must be one number for each of 4 classes",
    ),
    ({"targets": np.zeros(5)}, TypeError, "targets have dtype float64: labels must be integers"),
    ({"targets": np.zeros(4, int)}, ValueError, "hidden has shape (5, 3) and targets (4,)"),
    ({"hidden": None}, TypeError, "hidden must be an array, not None"),
    ({"reduction": "none"}, ValueError, "reduction='none' is unknown; use 'mean' or 'sum'"),
    (
        {"reduction": "sum", "denominator": 3},
        ValueError,
        "denominator= divides a mean; it has no meaning with reduction='sum'",
    ),
]


@pytest.mark.parametrize(("change", "kind", "words"), MESSAGES, ids=[m[2][:40] for m in MESSAGES])
def test_messages_of_a_layer(change: dict[str, Any], kind: type[Exception], words: str) -> None:
    """An error begins with the loss, names the shapes and proposes the fix."""
    arguments = {
        "hidden": np.zeros((5, 3)),
        "weight": np.zeros((4, 3)),
        "targets": np.zeros(5, int),
    }
    with pytest.raises(kind) as caught:
        il.linear_cross_entropy(**{**arguments, **change})
    start = "LinearCrossEntropy(ignore_index=None, label_smoothing=0.0, z_loss=0.0, chunk=None): "
    assert str(caught.value).startswith(start)
    assert words in str(caught.value)


def test_parameters_and_gradients_that_are_refused() -> None:
    """Parameters are checked as a metric's are; NumPy's own gradient says what to call instead."""
    with pytest.raises(
        ValueError, match=r"label_smoothing must be finite and >= 0 and <= 1, not 2\.0"
    ):
        il.LinearCrossEntropy(label_smoothing=2.0)
    with pytest.raises(TypeError, match=r"chunk must be an integer, not 2\.5"):
        il.LinearCrossEntropy(chunk=2.5)
    weight, labels = np.zeros((4, 3)), np.zeros(5, int)
    with pytest.raises(TypeError, match="call value_and_gradient of the loss itself"):
        il.gradient(lambda h, y: il.linear_cross_entropy(h, weight, y), np.zeros((5, 3)), labels)


def test_logits_are_never_all_there() -> None:
    """No array of the compiled step has a number for every token and class."""
    jax = pytest.importorskip("jax")
    h, w, y = jax.numpy.ones((64, 8)), jax.numpy.ones((500, 8)), jax.numpy.zeros(64, int)
    loss = il.LinearCrossEntropy(chunk=8)
    step = jax.jit(jax.value_and_grad(loss, (0, 1))).lower(h, w, y).compile().as_text()
    assert "[8,500]" in step
    assert "[64,500]" not in step
