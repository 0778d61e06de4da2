"""Programmed networks against scikit-learn's."""

import pickle
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris, make_moons
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_looped import ProgrammedMLPClassifier, ProgrammedMLPRegressor
from sklearn_looped.estimators.neural_network.base import build_block

TOLERANCE = 1e-12
PLAIN_SGD = {"activation": "logistic", "batch_size": 1, "momentum": 0}
CASES = [
    {"hidden_layer_sizes": 5, "shuffle": False, **PLAIN_SGD},
    {"hidden_layer_sizes": 5, "learning_rate": "adaptive", "activation": "tanh", "batch_size": 7},
    {"hidden_layer_sizes": (4, 3), "learning_rate": "invscaling", "nesterovs_momentum": False},
    {"hidden_layer_sizes": (3, 3, 2), "learning_rate": "adaptive", "batch_size": 10},
    {"hidden_layer_sizes": (4,), "activation": "identity", "momentum": 0.5, "batch_size": 1000},
]
TARGETS = {
    "one target": (ProgrammedMLPRegressor, MLPRegressor, lambda z: z),
    "two targets": (ProgrammedMLPRegressor, MLPRegressor, lambda z: np.stack([z, 1 - z], axis=1)),
    "two classes": (ProgrammedMLPClassifier, MLPClassifier, lambda z: z > 0),
    "three classes": (
        ProgrammedMLPClassifier,
        MLPClassifier,
        lambda z: np.array(["a", "b", "c"])[np.digitize(z, [-0.5, 0.5])],
    ),
}


def data(n=30, d=3, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d))
    return X, np.sin(X[:, 0]) + X[:, 1] * X[:, 2]


def fit_quietly(model, X, y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", "Got `batch_size`")
        return model.fit(X, y)


def fit_both(kind, parameters):
    ours, theirs, encode = TARGETS[kind]
    X, z = data()
    y = encode(z)
    models = ours(**parameters), theirs(**parameters, solver="sgd")
    return X, *(fit_quietly(model, X, y) for model in models)


def assert_same_fit(ours, theirs):
    assert ours.n_iter_ == theirs.n_iter_
    for name in ("n_layers_", "n_outputs_", "out_activation_"):
        assert getattr(ours, name) == getattr(theirs, name)
    for name in ("coefs_", "intercepts_"):
        for mine, other in zip(getattr(ours, name), getattr(theirs, name), strict=True):
            np.testing.assert_allclose(mine, other, rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("case", CASES)
def test_fit_is_that_of_scikit_learn(kind, case):
    parameters = {"learning_rate_init": 0.05, "max_iter": 10, "tol": 1e-2, "n_iter_no_change": 2}
    parameters |= {"random_state": 1, "alpha": 0.01} | case
    X, ours, theirs = fit_both(kind, parameters)
    assert_same_fit(ours, theirs)
    assert ours.n_loops_ == ours.n_iter_ * len(X)
    np.testing.assert_array_equal(ours.predict(X).shape, theirs.predict(X).shape)
    if kind.endswith("classes"):
        np.testing.assert_array_equal(ours.classes_, theirs.classes_)
        np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
        probabilities = ours.predict_proba(X), theirs.predict_proba(X)
        np.testing.assert_allclose(*probabilities, rtol=0, atol=TOLERANCE)
    else:
        np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("extra", [{"n_iter_no_change": np.inf}, {"alpha": 0.0, "power_t": 0.1}])
def test_a_thousand_steps_are_those_of_scikit_learn(kind, extra):
    parameters = {"hidden_layer_sizes": (6,), "max_iter": 35, "random_state": 0}
    parameters |= {"learning_rate": "invscaling", "learning_rate_init": 0.3} | PLAIN_SGD
    _, ours, theirs = fit_both(kind, parameters | extra)
    assert_same_fit(ours, theirs)
    assert ours.n_loops_ > 1000


def how_to_fit(model, how, X, y, weights):
    """Fit once, twice, or part by part."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        if how == "parts":
            first = {"classes": np.unique(y)} if hasattr(model, "predict_proba") else {}
            model.partial_fit(X[:11], y[:11], **first)
            model.partial_fit(X[11:], y[11:], sample_weight=weights[11:])
            return model.partial_fit(X, y)
        model.fit(X, y, sample_weight=weights)
        if how == "twice":
            model.set_params(warm_start=True).fit(X, y)
        return model


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize(
    ("how", "parameters"),
    [
        ("once", {"early_stopping": True, "learning_rate": "adaptive", "momentum": 0.5}),
        ("once", {"batch_size": 9, "learning_rate": "invscaling"}),
        ("twice", {"early_stopping": True, "batch_size": 7, "activation": "tanh"}),
        ("twice", {"learning_rate": "invscaling", "batch_size": 7}),
        ("parts", {"learning_rate": "invscaling", "nesterovs_momentum": False}),
        ("parts", {"learning_rate": "adaptive", "tol": 0.5, "batch_size": 4}),
    ],
)
def test_stopping_weights_and_further_calls_are_those_of_scikit_learn(kind, how, parameters):
    ours, theirs, encode = TARGETS[kind]
    X, z = data(n=33)
    y, weights = encode(z), np.random.default_rng(1).choice([0.25, 0.5, 1.0, 3.0], len(X))
    options = {"hidden_layer_sizes": (4,), "learning_rate_init": 0.1, "max_iter": 8, "tol": 0.01}
    options |= {"n_iter_no_change": 2, "validation_fraction": 0.3, "random_state": 3} | parameters
    mine = how_to_fit(ours(**options), how, X, y, weights)
    other = how_to_fit(theirs(**options, solver="sgd"), how, X, y, weights)
    assert_same_fit(mine, other)
    assert mine.t_ == other.t_
    for name in ("loss_", "best_loss_", "validation_scores_", "best_validation_score_"):
        expected = getattr(other, name)
        assert getattr(mine, name) == (expected if expected is None else pytest.approx(expected))
    np.testing.assert_array_equal(mine.predict(X).shape, other.predict(X).shape)


def test_early_stopping_answers_by_the_best_network_so_far():
    X, z = data(n=40)
    options = {"early_stopping": True, "learning_rate_init": 0.9, "max_iter": 12, "random_state": 4}
    model = fit_quietly(
        ProgrammedMLPClassifier((3,), validation_fraction=0.25, **options), X, z > 0
    )
    scores, epoch = model.validation_scores_, 30  # rows that are left to learn from
    best = int(np.argmax(scores))
    assert best + 1 < len(scores)  # the last network is not the best
    stages = dict(zip(model.stages_.tolist(), model.staged_predict_proba(X), strict=True))
    np.testing.assert_array_equal(stages[epoch * (best + 1)], model.predict_proba(X))
    short = model.set_params(n_loops=epoch * (best + 1) + 5).predict_proba(X)
    np.testing.assert_array_equal(short, model.set_params(n_loops=None).predict_proba(X))


def test_calls_that_cannot_go_on_raise():
    X, z = data()
    with pytest.raises(ValueError, match="early_stopping=True, which partial_fit does not"):
        ProgrammedMLPRegressor(early_stopping=True).partial_fit(X, z)
    with pytest.raises(ValueError, match="first call of partial_fit needs them"):
        ProgrammedMLPClassifier().partial_fit(X, z > 0)
    model = ProgrammedMLPClassifier((2,)).partial_fit(X, z > 0, classes=[False, True])
    with pytest.raises(ValueError, match="not among the classes"):
        model.partial_fit(X, np.where(z > 0, 2, 0))
    warm = fit_quietly(ProgrammedMLPClassifier((2,), max_iter=1, warm_start=True), X, z > 0)
    with pytest.raises(ValueError, match="but the previous fit had"):
        warm.fit(X, np.where(z > 0, "a", "b"))
    with pytest.raises(ValueError, match=r"sizes \(3, 5, 1\).*set warm_start=False"):
        warm.set_params(hidden_layer_sizes=(5,)).fit(X, z > 0)
    with pytest.raises(ValueError, match="batch of samples of which all have weight 0"):
        ProgrammedMLPRegressor(batch_size=1).fit(X, z, sample_weight=np.arange(len(X)) % 2)
    with pytest.raises(ValueError, match="validation set of 1 rows"):
        ProgrammedMLPRegressor(early_stopping=True, validation_fraction=0.01).fit(X, z)
    with pytest.raises(ValueError, match="Negative values in data passed to `sample_weight`"):
        ProgrammedMLPRegressor().fit(X, z, sample_weight=np.full(len(X), -1.0))


def test_epochs_are_calls_of_partial_fit():
    X, y = data()
    options = {"hidden_layer_sizes": (4,), "random_state": 5, "learning_rate_init": 0.1}
    options |= {"shuffle": False} | PLAIN_SGD
    theirs = MLPRegressor(**options, solver="sgd")
    for n_iter in (1, 2, 3):
        theirs.partial_fit(X, y)
        with pytest.warns(ConvergenceWarning, match=f"after {n_iter} epochs; raise max_iter"):
            ours = ProgrammedMLPRegressor(**options, max_iter=n_iter).fit(X, y)
        np.testing.assert_allclose(ours.coefs_[0], theirs.coefs_[0], rtol=0, atol=TOLERANCE)


def test_learns_what_no_linear_model_can():
    X, y = make_moons(60, noise=0.1, random_state=0)
    options = {"learning_rate_init": 0.1, "n_iter_no_change": 50, "max_iter": 100, "batch_size": 5}
    model = fit_quietly(ProgrammedMLPClassifier((8,), **options, random_state=0), X, y)
    assert model.score(X, y) > 0.98 > LogisticRegression().fit(X, y).score(X, y)
    assert model.loss_curve_[-1] < 0.2 * model.loss_curve_[0]
    np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1, rtol=1e-15)


def test_pipeline_and_grid_search_over_hidden_layers():
    X, y = load_iris(return_X_y=True)
    options = {"max_iter": 5, "tol": 1.0, "n_iter_no_change": 1, "learning_rate_init": 0.05}
    model = ProgrammedMLPClassifier(activation="logistic", batch_size=1, **options, random_state=0)
    pipeline = make_pipeline(StandardScaler(), model)
    grid = {"programmedmlpclassifier__hidden_layer_sizes": [(1,), (12,), (4, 4)]}
    search = GridSearchCV(pipeline, grid, cv=3).fit(X, y)
    assert search.best_params_["programmedmlpclassifier__hidden_layer_sizes"] == (12,)
    assert search.best_score_ > 0.8


def test_weights_of_the_transformer_do_not_depend_on_the_data():
    hashes = set()
    for seed in range(2):
        build_block.cache_clear()  # build the weights anew
        model = ProgrammedMLPRegressor((3,), alpha=0.1**seed, max_iter=2)
        fit_quietly(model, *data(seed=seed))
        transformer = model.block_.transformer(model.punchcard_.tokens)
        hashes.add(transformer.fingerprint())
        model.predict(data(seed=5)[0])
        hashes.add(transformer.fingerprint())
    assert len(hashes) == 1


def test_random_state_decides():
    X, y = data()
    fits = [
        fit_quietly(ProgrammedMLPRegressor((3,), max_iter=2, random_state=seed), X, y)
        for seed in (0, 0, 1)
    ]
    first, again, other = (model.predict(X) for model in fits)
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)


def test_a_column_of_targets_is_one_target():
    X, y = data()
    with pytest.warns(DataConversionWarning):
        model = ProgrammedMLPRegressor((2,), max_iter=10**4, tol=1.0, random_state=0).fit(
            X, y[:, None]
        )
    assert model.predict(X).shape == (len(X),)


def test_defaults_are_those_of_scikit_learn():
    for ours, theirs, _ in TARGETS.values():
        mine, other = ours().get_params(), theirs(solver="sgd").get_params()
        assert {name: mine[name] for name in mine.keys() & other.keys()}.items() <= other.items()


@pytest.mark.parametrize("kind", TARGETS)
def test_n_loops_is_read_by_predict(kind):
    options = {"hidden_layer_sizes": 3, "max_iter": 3, "tol": 0.0, "batch_size": 8}
    X, model, _ = fit_both(kind, options | {"random_state": 0, "learning_rate_init": 0.1})
    _, z = data()
    y = TARGETS[kind][2](z)
    read = "predict_proba" if hasattr(model, "predict_proba") else "predict"
    stages = list(getattr(model, f"staged_{read}")(X))
    assert model.stages_.tolist() == [30, 60, 90]
    np.testing.assert_array_equal(stages[-1], getattr(model, read)(X))
    for n_loops in (30, 41, 47):  # the second and third are in one batch
        short = fit_quietly(clone(model).set_params(n_loops=n_loops), X, y)
        expected = getattr(short, read)(X)
        np.testing.assert_array_equal(getattr(model.set_params(n_loops=n_loops), read)(X), expected)
        np.testing.assert_array_equal(getattr(short.set_params(n_loops=90), read)(X), stages[-1])
    model.coefs_[0][:] = 0.0  # says what the loops computed, and decides nothing
    np.testing.assert_array_equal(getattr(model, read)(X), expected)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_the_dense_evaluation_of_one_sequence_gives_the_same_bits(activation):
    X, z = data(n=12)
    options = {"activation": activation, "n_loops": 17, "batch_size": 4, "random_state": 0}
    fast = fit_quietly(ProgrammedMLPClassifier((3,), **options), X, z > 0)
    dense = fit_quietly(ProgrammedMLPClassifier((3,), evaluation="dense", **options), X, z > 0)
    np.testing.assert_array_equal(fast.predict_proba(X), dense.predict_proba(X))


def test_pickle_predicts_the_same_bits():
    X, y = data()
    model = fit_quietly(ProgrammedMLPRegressor((4, 2), max_iter=3, random_state=0), X, y)
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copy.predict(X), model.predict(X))


def test_probabilities_of_far_queries_are_those_of_scikit_learn():
    X, y = np.random.default_rng(0).normal(size=(12, 1)), np.arange(12) % 3
    options = {"hidden_layer_sizes": 2, "max_iter": 3, "random_state": 1}
    ours = fit_quietly(ProgrammedMLPClassifier(**options), X, y)
    theirs = fit_quietly(MLPClassifier(solver="sgd", **options), X, y)
    far = [[-1e155], [1e155], [-1e300], [1e300]]  # all logits of a query may be below -1e154
    np.testing.assert_array_equal(ours.predict_proba(far), theirs.predict_proba(far))


def test_divergence_names_the_step():
    X, y = load_diabetes(return_X_y=True)
    options = {"learning_rate_init": 10.0, "random_state": 0, **PLAIN_SGD}
    model = ProgrammedMLPRegressor((4,), **options)
    message = r"diverges: learning_rate_init=10 blew up at step \d+ \(epoch 1\); lower it, or scale"
    with pytest.raises(ValueError, match=message) as error:
        model.fit(X, y)
    step = int(str(error.value).split("step ")[1].split()[0])
    assert 1 < step < len(X)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        *[
            ({"hidden_layer_sizes": s}, "expected positive integers, one per hidden layer")
            for s in [(), (0,), (3, -1), (2.5,), ("4",), ((3, 3), (3, 3)), (True,)]
        ],
        ({"hidden_layer_sizes": 0}, "'hidden_layer_sizes' parameter .* must be an array-like or"),
        ({"learning_rate_init": -0.1}, "'learning_rate_init' parameter .* in the range"),
        ({"learning_rate_init": 0.0}, "'learning_rate_init' parameter .* in the range"),
        ({"learning_rate_init": np.nan}, "'learning_rate_init' parameter"),
        ({"alpha": -1.0}, "'alpha' parameter .* in the range"),
        ({"max_iter": 0}, "'max_iter' parameter .* in the range"),
        ({"tol": -1e-3}, "'tol' parameter .* in the range"),
        ({"n_iter_no_change": 0}, "'n_iter_no_change' parameter"),
        ({"learning_rate": "optimal"}, "'learning_rate' parameter .* must be .*'invscaling'"),
    ],
)
def test_bad_parameters_raise_one_line(parameters, message):
    for model in (ProgrammedMLPRegressor, ProgrammedMLPClassifier):
        with pytest.raises(ValueError, match=message) as error:
            model(**parameters).fit(*data())
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_bad_data_raise(value):
    X, y = data()
    broken_X, broken_y = X.copy(), y.copy()
    broken_X[3, 1] = broken_y[3] = value
    model = ProgrammedMLPRegressor((2,), max_iter=2)
    for arrays in ((broken_X, y), (X, broken_y)):
        with pytest.raises(ValueError, match=r"contains (NaN|infinity)"):
            model.fit(*arrays)
    fit_quietly(model, X, y)
    with pytest.raises(ValueError, match="Input X contains"):
        model.predict(broken_X)
    with pytest.raises(ValueError, match=r"X has 2 features, but .* is expecting 3"):
        model.predict(X[:, :2])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        model.fit(X, y[:-1])
    with pytest.raises(ValueError, match="number of classes has to be greater than one"):
        ProgrammedMLPClassifier().fit(X, np.zeros(len(X)))
