"""Losses of language models: their edges, and the cross-entropy of a layer, chunk by chunk."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from mpmath import mp

import isoloss as il
from conformance.kit.backends import BACKENDS, Backend
from conformance.kit.comparison import close

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


def test_distillation_of_ruled_out_classes() -> None:
    """A class that both rule out is none; one that only the student does is infinitely far off."""
    both = il.distillation_kl([[0.5, -INF, 1.5]], [[1.0, -INF, 0.25]])
    close(both, il.distillation_kl([[0.5, 1.5]], [[1.0, 0.25]]), 8)
    student = [[0.5, -INF, 1.5]]
    assert il.distillation_kl(student, [[1.0, 3.0, 0.25]]) == INF
    slope = il.gradient(il.distillation_kl, student, [[1.0, -INF, 0.25]])
    assert np.isfinite(slope).all()
    assert slope[0, 1] == 0


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


def test_the_clip() -> None:
    """Beyond the bound on the advantage's side nothing is left to gain; on the other, all is lost."""
    new = np.array([0.5, -0.5, 0.5, -0.5, 300.0, -300.0, 300.0])
    advantages = np.array([1.0, 1.0, -1.0, -1.0, 2.0, -2.0, 0.0])
    ratio = np.exp(new)
    values = np.array([-1.2, -ratio[1], ratio[2], 0.8, -2.4, 1.6, 0.0])
    slopes = np.array([0.0, -ratio[1], ratio[2], 0.0, 0.0, 0.0, 0.0])
    targets = (0 * new, advantages)
    close(il.ppo_clip(new, targets, reduction="none"), values, 8)
    close(il.gradient(il.ppo_clip, new, targets, denominator=1.0), slopes, 8)


# --- the cross-entropy of a linear layer: no metric of samples alone, so no law speaks of it -------

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


def near(got: Any, exact: Any, ulps: float = 8) -> None:
    """Assert equality to some ULP of the largest number expected."""
    close(got, exact, ulps, float(np.max(np.abs(exact))))


def given(backend: Backend, data: dict[str, np.ndarray]) -> tuple[Any, list[Any], dict[str, Any]]:
    """Return the arrays of a library: targets; hidden, weight and bias; what else there is."""
    made = {name: backend.xp.asarray(x.copy()) for name, x in data.items()}
    return made.pop("targets"), [made.pop(name) for name in ("hidden", "weight", "bias")], made


def test_value_and_gradient_of_a_layer(backend: Backend) -> None:
    """Chunks or not, smoothed or not: the value and all gradients are those of the definition."""
    data = drawn()
    for options in OPTIONS[::7] if backend.compiles else OPTIONS:  # the plainest, and the fullest
        exact = by_definition(data, options["label_smoothing"], options["z_loss"])
        loss = il.LinearCrossEntropy(ignore_index=-100, **options)
        targets, layer, rest = given(backend, data)

        def both(layer: Any, targets: Any, rest: Any, loss: Any = loss) -> Any:
            hidden, weight, bias = layer
            options = {"bias": bias, **rest}
            alone = loss(hidden, weight, targets, **options)
            return alone, loss.value_and_gradient(hidden, weight, targets, **options)

        alone, (value, slopes) = backend.compiled(both)(layer, targets, rest)
        for result, want in zip((alone, value, *slopes), (exact[0], *exact), strict=True):
            assert backend.dtype(result) == "float32"
            near(result, want)


FULLEST = OPTIONS[-1]
"""Chunks, smoothing and the penalty at once: what a transform does, it does to each of them."""


def test_a_layer_in_jax() -> None:
    """Reverse and forward mode, of batches, and one through the other."""
    jax = pytest.importorskip("jax")
    data = drawn()
    smoothing, z_loss = FULLEST["label_smoothing"], FULLEST["z_loss"]
    exact = by_definition(data, smoothing, z_loss)
    loss = il.LinearCrossEntropy(ignore_index=-100, **FULLEST)
    backend = BACKENDS["jax"]()
    targets, layer, rest = given(backend, data)

    def function(hidden: Any, weight: Any, bias: Any) -> Any:
        return loss(hidden, weight, targets, bias=bias, **rest)

    def transformed(*layer: Any) -> Any:  # in one program: one each would take a second each
        modes = [mode(function, (0, 1, 2))(*layer) for mode in (jax.grad, jax.jacfwd)]
        twice = jax.numpy.stack([layer[0], layer[0]])
        batch = jax.vmap(function, (0, None, None))(twice, *layer[1:])
        weigh = lambda w: loss(*layer[:2], targets, bias=layer[2], **{**rest, "weights": w})  # noqa: E731
        by_weights = jax.grad(weigh)(rest["weights"])
        return modes, batch, by_weights, jax.jacfwd(jax.grad(function, 1), 0)(*layer)

    modes, batch, by_weights, bent = backend.compiled(transformed)(*layer)
    for slopes in modes:
        for slope, want in zip(slopes, exact[1:], strict=True):
            near(slope, want)
    near(batch, np.array([exact[0]] * 2))

    def difference(name: str, place: Any) -> list[np.ndarray]:
        """Return the derivatives of value and gradients by one number; they have about 28 bits."""
        moved = [{**data, name: data[name].astype("float64")} for _ in range(2)]
        moved[0][name][place] += 2.0**-18
        moved[1][name][place] -= 2.0**-18
        high, low = (by_definition(case, smoothing, z_loss) for case in moved)
        return [(x - y) * 2.0**17 for x, y in zip(high, low, strict=True)]

    largest = float(np.max(np.abs(by_weights)))
    for place in range(TOKENS):  # what is left out by a weight of 0 has no slope by it
        want = difference("weights", place)[0] if data["weights"][place] else np.float64(0.0)
        close(by_weights[place], want, 64, largest)
    for place in np.ndindex(TOKENS, FEATURES):
        close(bent[:, :, *place], difference("hidden", place)[2], 64, float(np.max(np.abs(bent))))


def test_a_layer_in_torch() -> None:
    """Backward once and again, twice, by torch.func, in forward mode and compiled."""
    torch = pytest.importorskip("torch")
    data = drawn()
    exact = by_definition(data, FULLEST["label_smoothing"], FULLEST["z_loss"])
    loss = il.LinearCrossEntropy(ignore_index=-100, **FULLEST)
    targets, layer, rest = given(BACKENDS["torch"](), data)
    leaves = [x.requires_grad_() for x in layer]

    def function(hidden: Any, weight: Any, bias: Any) -> Any:
        return loss(hidden, weight, targets, bias=bias, **rest)

    value = function(*leaves)
    for kept in (True, True, False):  # what was kept for the first is not there for the others
        slopes = torch.autograd.grad(value, leaves, retain_graph=kept)
        for slope, want in zip(slopes, exact[1:], strict=True):
            assert slope.dtype == torch.float32
            near(slope, want)
    with torch.no_grad():
        near(function(*leaves), exact[0])
    (alone,) = torch.autograd.grad(
        function(layer[0].detach(), leaves[1], layer[2].detach()), leaves[1]
    )
    near(alone, exact[2])
    plain = [x.detach() for x in leaves]
    compiled = torch.compile(function, fullgraph=True, backend="aot_eager")
    for slopes in (
        torch.func.grad(function, (0, 1, 2))(*plain),
        torch.func.jacfwd(function, (0, 1, 2))(*plain),
        torch.autograd.grad(compiled(*leaves), leaves),
    ):
        for slope, want in zip(slopes, exact[1:], strict=True):
            near(slope, want)


def test_differences_of_a_layer_in_torch() -> None:
    """First and second derivatives by all that goes in are those of finite differences."""
    torch = pytest.importorskip("torch")
    data = drawn()
    some = slice(1, 6)  # one token to ignore, and one that is masked
    few = {**data, **{k: data[k][some] for k in ("hidden", "targets", "weights", "where")}}
    few["weights"] = np.float32([0.5, 1.0, 2.0, 1.0, 0.75])
    few["hidden"] = np.nan_to_num(few["hidden"][:, :2])
    few |= {"weight": data["weight"][:3, :2], "bias": data["bias"][:3]}
    few["targets"] = np.where(few["targets"] < 0, few["targets"], few["targets"] % 3)
    few["where"] = np.array([True, True, True, False, True])
    targets, layer, rest = given(BACKENDS["torch"](), few)
    leaves = [x.double().requires_grad_() for x in (*layer, rest.pop("weights"))]
    loss = il.LinearCrossEntropy(ignore_index=-100, **{**FULLEST, "chunk": 2})

    def function(hidden: Any, weight: Any, bias: Any, weights: Any) -> Any:
        return loss(hidden, weight, targets, bias=bias, weights=weights, **rest)

    # what a first backward finds kept, a second computes again, in another order
    assert torch.autograd.gradcheck(function, leaves, nondet_tol=1e-14)
    assert torch.autograd.gradgradcheck(function, leaves, nondet_tol=1e-14)


def test_sure_answers_of_a_layer(backend: Backend) -> None:
    """A loss and a slope far below the spacing of 1 have their digits; extreme logits are exact."""
    hidden, weight = np.array([[1.0]], np.float32), np.array([[20.0], [0.0], [0.0]], np.float32)
    targets, (h, w, b), _ = given(
        backend, {"hidden": hidden, "weight": weight, "bias": np.zeros(3, np.float32), "targets": np.array([0])}
    )  # fmt: skip
    value, slopes = il.linear_cross_entropy.value_and_gradient(h, w, targets, bias=b)
    with mp.workdps(40):
        tail = 2 * mp.exp(-20)
        loss, share = mp.log(1 + tail), mp.exp(-20) / (1 + tail)
    close(value, np.float64(loss), 8)
    close(slopes[2], np.array([-2 * share, share, share], float), 8)
    for label, want in ((0, 0.0), (1, 2e4)):
        assert float(il.linear_cross_entropy(h * 1000, w, targets + label)) == want


def test_a_class_that_the_bias_rules_out(backend: Backend) -> None:
    """A bias of -inf is a padded vocabulary: the class is none, and its row gets no gradient.

    Nor does the token that fills up the last chunk.
    """
    data = drawn()
    data = {name: data[name][6:9] if name in ("hidden", "targets") else data[name]
            for name in ("hidden", "weight", "bias", "targets")}  # fmt: skip
    data["hidden"] = np.nan_to_num(data["hidden"])
    data["targets"] = data["targets"] % 10
    fewer = {**data, "weight": data["weight"][:10], "bias": data["bias"][:10]}
    data["bias"][10] = -INF

    def both(layers: Any) -> Any:
        losses = il.LinearCrossEntropy(chunk=2), il.linear_cross_entropy
        return [
            loss.value_and_gradient(h, w, targets, bias=b)
            for loss, (targets, (h, w, b), _) in zip(losses, layers, strict=True)
        ]

    padded, plain = backend.compiled(both)([given(backend, x) for x in (data, fewer)])
    close(padded[0], plain[0], 8)
    for slope, want in zip(padded[1][1:], plain[1][1:], strict=True):
        by_class = np.asarray(slope)
        assert (by_class[10] == 0).all()
        near(by_class[:10], np.asarray(want))


def test_labels_of_a_layer(backend: Backend) -> None:
    """A label that is none makes the loss nan, unless it is to be ignored; nothing left is nan too."""
    data = {name: x for name, x in drawn().items() if name not in ("weights", "where")}
    data["hidden"] = np.nan_to_num(data["hidden"])
    targets, (h, w, _), _ = given(backend, data)
    kept = il.LinearCrossEntropy(ignore_index=-100)

    def losses(h: Any, w: Any, targets: Any, beyond: Any, alike: Any) -> Any:
        values = [il.linear_cross_entropy(h, w, labels) for labels in (targets, beyond)]
        values += [kept(h, w, targets), kept(h, w, alike), kept(h, w, alike, empty=0.0)]
        return values, kept.value_and_gradient(h, w, alike)[1]

    labels = targets, backend.xp.abs(targets), 0 * targets - 100  # one of them is -100, or 100
    values, slopes = backend.compiled(losses)(h, w, *labels)
    below, above, ignored, nothing, empty = map(float, values)
    assert math.isnan(below)
    assert math.isnan(above)
    assert math.isfinite(ignored)
    assert math.isnan(nothing)
    assert empty == 0.0
    assert all((np.asarray(slope) == 0).all() for slope in slopes)


def test_totals_of_a_layer_add_up(backend: Backend) -> None:
    """States of micro-batches merge to that of the batch; so do sums over a common denominator."""
    data = drawn()
    exact = by_definition(data, 0.0, 0.0)[0]
    loss = il.LinearCrossEntropy(ignore_index=-100)
    targets, (h, w, b), rest = given(backend, data)
    parts = [slice(0, 9), slice(9, TOKENS)]
    calls = [
        ((h[s, :], w, targets[s]), {"bias": b, **{k: x[s] for k, x in rest.items()}}) for s in parts
    ]

    def three_ways(calls: Any) -> Any:
        first, second = (loss.summary(*a, **k) for a, k in calls)
        weight = first.weight.sum + second.weight.sum
        shares = sum(loss(*a, **k, denominator=weight) for a, k in calls)
        total = sum(loss(*a, **k, reduction="sum") for a, k in calls)
        return loss.compute(first.merge(second)), shares, total, weight

    merged, shares, total, weight = backend.compiled(three_ways)(calls)
    near(merged, exact)
    near(shares, exact)
    near(total, exact * float(weight))


def test_it_is_softmax_cross_entropy_of_the_logits(backend: Backend) -> None:
    """Any shape of tokens, one feature or one class: the same number as with all logits at once."""
    rng = np.random.default_rng(1)
    loss, layers, want = il.LinearCrossEntropy(chunk=2), [], []
    for shape, features, classes in (((2, 3, 4), 5, 1500), ((7,), 1, 2), ((), 3, 4), ((3,), 2, 1)):
        h = rng.normal(size=(*shape, features)).astype(np.float32)
        w = rng.normal(size=(classes, features)).astype(np.float32)
        y = np.asarray(rng.integers(0, classes, shape))
        layers.append([backend.xp.asarray(x) for x in (h, w, y)])
        want.append(il.softmax_cross_entropy(h.astype(np.float64) @ w.T.astype(np.float64), y))
    values = backend.compiled(lambda layers: tuple(loss(*layer) for layer in layers))(layers)
    close(values, tuple(want), 16, 1e-30)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_of_a_layer(backend: Backend, dtype: str) -> None:
    """A value in float32, gradients in the dtype that came in, that of weight rounded once."""
    if dtype not in backend.dtypes:
        pytest.skip(f"{backend.name} has no {dtype}")
    rng = np.random.default_rng(2)
    h, w = (backend.array(rng.normal(size=s).tolist(), dtype) for s in ((40, 8), (30, 8)))
    y = rng.integers(0, 30, 40)
    wide = [np.array(backend.numbers(x), np.float32) for x in (h, w)]
    exact, slopes = il.linear_cross_entropy.value_and_gradient(*wide, y)
    both = backend.compiled(il.LinearCrossEntropy(chunk=7).value_and_gradient)
    value, narrow = both(h, w, backend.xp.asarray(y))
    unit = {"float16": 2.0**-10, "bfloat16": 2.0**-7}[dtype]
    assert backend.dtype(value) == "float32"
    assert float(value) == pytest.approx(float(exact), rel=unit)
    for slope, want in zip(narrow, slopes, strict=True):
        assert backend.dtype(slope) == dtype
        numbers = np.array(backend.numbers(slope), dtype=np.float64)  # NumPy has no bfloat16
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
    close(value, il.softmax_cross_entropy(logits.detach(), y), 8)
    assert {x.dtype for x in torch.autograd.grad(value, (h, w))} == {torch.float32}


MESSAGES: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"weight": np.zeros(3)}, ValueError, "weight has shape (3,): it must be (classes, features)"),
    (
        {"weight": np.zeros((3, 4))},
        ValueError,
        "hidden has shape (5, 3) and weight (3, 4); transpose it: weight.T",
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
    start = "LinearCrossEntropy(): "
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
