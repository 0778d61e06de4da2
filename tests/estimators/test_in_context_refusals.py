"""What the in-context regressor refuses, in one line."""

import datetime

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import coo_array, csc_matrix, csr_array
from sklearn.exceptions import NotFittedError

from sklearn_looped import KernelMachineRegressor, LoopedICLClassifier, LoopedICLRegressor
from sklearn_looped.learned.checkpoints import CheckpointError, save_checkpoint

DAYS = pd.Index([datetime.date(2024, 5, 31), pd.Period("2024-05-31", "D")], dtype=object)
GAP = pd.array([None, *range(5)], dtype="Int64")
X_BAD, Y_BAD = np.arange(12.0).reshape(6, 2), np.arange(6.0)


@pytest.mark.parametrize(
    ("weights", "message"),
    [([-1.0] * 6, "[Nn]egative"), ([1.0] * 5, "shape"), ([0, 0, 0, 0, 0, 1], "n_samples=1")],
)
def test_bad_weights_are_refused(weights, message):
    with pytest.raises(ValueError, match=message):
        LoopedICLRegressor().fit(X_BAD, Y_BAD, sample_weight=weights)


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (np.where(X_BAD == 3, np.inf, X_BAD), Y_BAD, "infinity"),
        (pd.DataFrame(X_BAD).replace(3.0, np.inf), Y_BAD, "column 1, contains infinity"),
        (pd.DataFrame(X_BAD, columns=["a", "a"]), Y_BAD, "several columns named 'a'"),
        (pd.DataFrame(X_BAD, columns=DAYS), Y_BAD, "several columns named '2024-05-31'"),
        (X_BAD * 1j, Y_BAD, "Complex data not supported"),
        (pd.DataFrame(X_BAD * 1j), Y_BAD, "Complex data not supported"),
        (X_BAD, Y_BAD * 1j, "Complex data not supported"),
        (X_BAD[None], Y_BAD, "dim 3"),
        (X_BAD[:0], Y_BAD[:0], "0 sample"),
        (pd.DataFrame(X_BAD[:0]), Y_BAD[:0], "at least one row"),
        (X_BAD[:1], Y_BAD[:1], "n_samples=1, but at least 2 rows"),
        (X_BAD, Y_BAD[:4], "inconsistent numbers of samples"),
        (X_BAD, np.where(Y_BAD == 3, np.nan, Y_BAD), "y contains NaN"),
        (X_BAD, pd.DataFrame({"a": Y_BAD, "b": GAP}), "y contains NaN"),
        (X_BAD, np.array(list("abcdef")), "target that is not numeric"),
        (X_BAD, np.ma.masked_equal(Y_BAD, 3), "y has 1 masked entries"),
        (X_BAD, np.array([1, 2, 3, 4, 5, "x"], dtype=object), "target that is not numeric"),
        (X_BAD, None, "requires y to be passed"),
        (X_BAD, np.zeros((6, 2, 2)), "dim 3"),
    ],
)  # fmt: skip
def test_bad_data_is_refused(X, y, message):
    with pytest.raises(ValueError, match=message) as caught:
        LoopedICLRegressor().fit(X, y)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"weights": "tabluar"}, r"weights='tabluar'.*shipped weights are .*tabular"),
        ({"n_loops": 0}, "'n_loops' parameter.*Got 0"),
        ({"n_loops": -1}, "'n_loops' parameter.*Got -1"),
        ({"n_loops": 2.5}, "'n_loops' parameter.*Got 2.5"),
        ({"n_loops": "many"}, "'n_loops' parameter.*Got 'many'"),
        ({"device": "abacus"}, "device='abacus'"),
        ({"weights": None}, "prior=None. Give weights, or weights=None and a prior among"),
        ({"prior": "linear"}, "weights='tabular' and prior='linear'"),
        ({"prior": "quadratic", "weights": None}, "'prior' parameter"),
        ({"n_estimators": 0}, "'n_estimators' parameter"),
        ({"max_support": 1}, "'max_support' parameter"),
        ({"exit_rule": "sudden"}, "'exit_rule' parameter"),
        ({"exit_quantile": 1.0}, "'exit_quantile' parameter"),
        ({"n_loops": "auto", "exit_rule": "holdout"}, "Got 6 rows, but exit_rule='holdout' needs"),
    ],
)
def test_bad_parameters_are_refused_before_any_work(parameters, message):
    with pytest.raises(ValueError, match=message) as caught:
        LoopedICLRegressor(**parameters).fit(X_BAD, Y_BAD)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("container", [csr_array, csc_matrix, coo_array])
def test_sparse_tables_are_read_as_dense_ones_up_to_a_size(container):
    dense = LoopedICLRegressor().fit(X_BAD, Y_BAD).predict(X_BAD)
    model = LoopedICLRegressor().fit(container(X_BAD), Y_BAD)
    assert np.array_equal(model.predict(container(X_BAD)), dense)
    with pytest.raises(ValueError, match=r"sparse table of 6 x 10000000 cells.*Choose fewer"):
        model.fit(csr_array((6, 10_000_000)), Y_BAD)


def test_predicting_before_fit_or_with_other_columns_is_refused(split, fitted):
    with pytest.raises(NotFittedError, match="not fitted yet"):
        LoopedICLRegressor().predict(split[2])
    with pytest.raises(ValueError, match=r"X has 3 features, but .* is expecting 10"):
        fitted.predict(split[2][:, :3])


@pytest.mark.parametrize(
    "model", [LoopedICLRegressor(), LoopedICLClassifier(), KernelMachineRegressor()]
)
def test_kinds_of_columns_are_not_known_before_fit(model):
    with pytest.raises(NotFittedError, match="not fitted yet"):
        _ = model.column_kinds_


@pytest.mark.parametrize("member", [4, -1, 0.5, None])
def test_members_that_are_not_there_are_refused(split, fitted, member):
    with pytest.raises(ValueError, match=f"Got member={member}, but the members .* 0 to 3"):
        next(fitted.attention_by_loop(split[2], member))


@pytest.mark.parametrize("levels", [[0.0], [0.5, 1.0], [[0.2, 0.3]]])
def test_impossible_quantiles_are_refused(split, fitted, levels):
    with pytest.raises(ValueError, match=r"expected levels in \(0, 1\)"):
        fitted.predict_quantiles(split[2], levels)


def test_damaged_weights_name_the_file(tmp_path, tiny_network):
    path = tmp_path / "mine.safetensors"
    save_checkpoint(tiny_network, path)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(CheckpointError, match=r"mine\.safetensors is damaged"):
        LoopedICLRegressor(weights=path).fit(X_BAD, Y_BAD)
