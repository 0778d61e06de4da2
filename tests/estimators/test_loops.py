"""Loops as a dial: fixed counts, stages and the exit rules of ``n_loops="auto"``."""

import numpy as np
import pytest

from sklearn_looped import LoopedICLRegressor
from sklearn_looped.learned.checkpoints import load_checkpoint, save_checkpoint
from sklearn_looped.learned.inference.batch import QueryBatch
from sklearn_looped.learned.inference.halting import thriftiest_loop
from sklearn_looped.learned.priors import SyntheticTables
from sklearn_looped.learned.training.held_out import score_by_loop


def relative(a, b):
    return np.abs(np.asarray(a, float) - b).max() / np.abs(b).max()


def test_n_loops_is_a_dial_that_needs_no_refit(split):
    X, y, queries = split
    few, many = (LoopedICLRegressor(n_loops=n).fit(X, y) for n in (3, 11))
    expected = few.predict(queries), many.predict(queries)
    assert relative(many.set_params(n_loops=3).predict(queries), expected[0]) < 1e-6
    before = set(vars(few))
    assert relative(few.set_params(n_loops=11).predict(queries), expected[1]) < 1e-5
    assert few.n_loops_ == 3
    assert set(vars(few)) == before


def test_staged_predict_ends_at_predict(split, fitted):
    fitted.set_params(n_loops=None)
    stages = list(fitted.staged_predict(split[2]))
    assert len(stages) == fitted.n_loops_ == 6
    assert np.array_equal(stages[-1], fitted.predict(split[2]))
    third = LoopedICLRegressor(n_loops=3).fit(*split[:2]).predict(split[2])
    assert relative(stages[2], third) < 1e-6


def test_settled_is_close_to_all_loops_and_independent_of_the_batch(split, fitted):
    full = fitted.set_params(n_loops=None).predict(split[2])
    fitted.set_params(n_loops="auto", exit_rule="settled")
    auto, n_loops = fitted.predict(split[2], return_n_loops=True)
    assert np.abs(auto - full).max() < 0.25 * full.std()
    assert n_loops.min() >= 3  # two small changes need three loops
    assert n_loops.mean() < 6
    alone = np.concatenate([fitted.predict(query[None]) for query in split[2]])
    assert relative(alone, auto) < 1e-5


def test_a_query_that_leaves_keeps_the_prediction_of_its_last_loop(split, fitted):
    stages = np.array(list(fitted.staged_predict(split[2])))
    fitted.set_params(exit_rule="settled")
    auto, n_loops = fitted.predict(split[2], return_n_loops=True)
    assert len(set(n_loops)) > 1
    assert relative(auto, stages[n_loops - 1, np.arange(len(auto))]) < 1e-5
    small = np.abs(np.diff(stages, axis=0)) <= 0.06 * split[1].std()
    for query, loop in enumerate(n_loops):
        assert loop == 6 or small[loop - 3 : loop - 1, query].all()
        assert not any(small[i : i + 2, query].all() for i in range(loop - 3))


def test_by_default_the_support_says_how_many_loops(split):
    fitted = LoopedICLRegressor().fit(*split[:2])
    prediction, n_loops = fitted.predict(split[2], return_n_loops=True)
    memories = fitted.predictor_.memories
    (loop,) = set(n_loops)
    assert 3 <= loop < 5
    assert max(memories.weighed) == loop + 1  # `fit` ran no more
    stages = np.array(list(fitted.staged_predict(split[2])))
    errors = np.concatenate([memories.weighing(each).errors[:, 0] for each in range(1, 7)])
    assert errors[loop] >= 0.998 * errors[loop - 1]
    assert (errors[3:loop] < 0.998 * errors[2 : loop - 1]).all()
    assert relative(prediction, stages[loop - 1]) < 1e-6


def test_members_without_a_share_do_not_run(split, fitted, monkeypatch):
    memories = fitted.predictor_.memories
    (loop,) = memories.enough()
    shares = memories.weighing(loop).shares
    kept = np.array([0.75, 0, 0.25, 0]).reshape(shares.shape)
    monkeypatch.setitem(memories.weighed, loop, memories.weighing(loop)._replace(shares=kept))
    expected = list(fitted.staged_predict(split[2]))[loop - 1]
    answer, asked = QueryBatch.answer, []

    def recording(queries, *args, **options):
        asked.append(queries)
        return answer(queries, *args, **options)

    monkeypatch.setattr(QueryBatch, "answer", recording)
    assert relative(fitted.predict(split[2]), expected) < 1e-6
    assert len(asked) == 2


def test_each_target_takes_its_own_loops(split, fitted):
    X, y, queries = split
    other = np.abs(X[:, 0]) - X[:, 3]
    both, taken = LoopedICLRegressor().fit(X, np.column_stack([y, other])), []
    for target, column in zip((y, other), both.predict(queries).T, strict=True):
        alone, n_loops = LoopedICLRegressor().fit(X, target).predict(queries, return_n_loops=True)
        assert relative(column, alone) < 1e-5
        taken.append(n_loops[0])
    assert taken[0] != taken[1]
    assert (both.predict(queries, return_n_loops=True)[1] == max(taken)).all()


def test_weights_that_do_not_predict_their_support_take_all_loops(tmp_path, tiny_network, split):
    path = tmp_path / "mine.safetensors"
    save_checkpoint(tiny_network, path)
    X, y, queries = split
    model = LoopedICLRegressor(weights=path).fit(X[:, :5], y)
    loops = model.predict(queries[:, :5], return_n_loops=True)[1]
    assert (loops == tiny_network.config.n_loops).all()
    sampled = LoopedICLRegressor(max_support=50, random_state=0)
    with pytest.warns(UserWarning, match="sees a random subsample"):
        sampled.fit(X, y)
    assert (sampled.predict(queries, return_n_loops=True)[1] == 6).all()


def test_the_gate_takes_more_loops_for_a_higher_quantile(split, fitted):
    stages = np.array(list(fitted.staged_predict(split[2])))
    fitted.set_params(n_loops="auto", exit_rule="gate")
    taken = []
    for quantile in (0.3, 0.9, 0.99):
        fitted.set_params(exit_quantile=quantile)
        prediction, n_loops = fitted.predict(split[2], return_n_loops=True)
        assert relative(prediction, stages[n_loops - 1, np.arange(60)]) < 1e-5
        taken.append(n_loops.mean())
    assert taken == sorted(taken)
    assert 2 <= taken[0] < taken[2] <= 6


def test_holdout_takes_one_loop_for_all_queries(split, fitted):
    model = LoopedICLRegressor(n_loops="auto", exit_rule="holdout").fit(*split[:2])
    prediction, n_loops = model.predict(split[2], return_n_loops=True)
    assert len(set(n_loops)) == 1
    stages = list(fitted.staged_predict(split[2]))
    assert relative(prediction, stages[n_loops[0] - 1]) < 1e-5
    late = fitted.set_params(n_loops="auto", exit_rule="holdout")
    before = set(vars(late))
    assert np.array_equal(late.predict(split[2], return_n_loops=True)[1], n_loops)
    assert set(vars(late)) == before


def test_more_loops_than_trained_do_not_hurt():
    network = load_checkpoint("tabular").network
    scores = score_by_loop(network, SyntheticTables(), n_loops=16, n_tables=6)
    assert scores[15] > max(scores) - 0.01


def test_bad_n_loops_is_refused_at_predict_too(split, fitted):
    with pytest.raises(ValueError, match=r"'n_loops' parameter.*Got 0"):
        fitted.set_params(n_loops=0).predict(split[2])


def test_a_gate_that_is_not_there_is_refused(tmp_path, tiny_network, split, fitted):
    path = tmp_path / "mine.safetensors"
    save_checkpoint(tiny_network, path)
    model = LoopedICLRegressor(weights=path, n_loops="auto", exit_rule="gate")
    with pytest.raises(ValueError, match=r"mine\.safetensors' have no exit gate. Use exit_rule"):
        model.fit(np.eye(6), np.arange(6))
    model.set_params(n_loops=2).fit(np.eye(6), np.arange(6))
    with pytest.raises(ValueError, match="have no exit gate"):
        model.set_params(n_loops="auto").predict(np.eye(6))


def test_exit_rules_are_refused_before_experts_are_fitted(monkeypatch, rng):
    monkeypatch.setattr("sklearn_looped.learned.inference.fit.has_steps", None)
    with pytest.raises(ValueError, match="Got 19 rows, but exit_rule='holdout' needs"):
        LoopedICLRegressor(exit_rule="holdout").fit(rng.normal(size=(19, 2)), np.arange(19))


def test_the_thriftiest_loop_is_within_one_standard_error(rng):
    losses = [rng.uniform(0, 2, 40) + extra for extra in (3.0, 0.3, 0.02, 0.0, 0.5)]
    mean = np.mean(losses, axis=1)
    error = np.std(losses[mean.argmin()], ddof=1) / 40**0.5
    chosen = thriftiest_loop(losses) - 1
    assert mean[chosen] <= mean.min() + error
    assert (mean[:chosen] > mean.min() + error).all()
