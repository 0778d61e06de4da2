"""Neither autocast nor any other mode of the caller changes a result."""

from contextlib import ExitStack, contextmanager

import numpy as np
import pytest
import torch

import sklearn_looped
from sklearn_looped import (
    FleqMachine,
    KernelMachineClassifier,
    KernelMachineRegressor,
    LoopedICLClassifier,
    LoopedICLRegressor,
    SubleqMachine,
)
from sklearn_looped.core.modes import in_own_modes
from sklearn_looped.estimators.in_context import predict_many
from sklearn_looped.learned import checkpoints


@contextmanager
def changed(set_mode, value, previous):
    set_mode(value)
    try:
        yield
    finally:
        set_mode(previous)


MODES = {
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "inference": torch.inference_mode,
    "gradients": torch.enable_grad,
    "no gradients": torch.no_grad,
    "meta device": lambda: torch.device("meta"),
    "default device": lambda: changed(torch.set_default_device, "meta", None),
    "float64": lambda: changed(torch.set_default_dtype, torch.float64, torch.float32),
    "bfloat16": lambda: changed(torch.set_default_dtype, torch.bfloat16, torch.float32),
    "deterministic": lambda: changed(torch.use_deterministic_algorithms, True, False),
    "numpy raises": lambda: np.errstate(all="raise"),
    "anomaly": lambda: torch.autograd.set_detect_anomaly(True, check_nan=False),
}


def results(rng_seed=0):
    """What fitting, predicting and running programs gives, as arrays."""
    checkpoints._load.cache_clear()
    rng = np.random.default_rng(rng_seed)
    X, y = rng.normal(size=(40, 3)), rng.normal(size=40)
    model = LoopedICLRegressor(n_estimators=2, n_loops=3).fit(X, y)
    yield model.predict(X)
    yield model.predict_quantiles(X)
    yield from model.staged_predict(X[:5])
    yield from predict_many(model, [(X, y, X[:4])])
    yield from model.attention_by_loop(X[:2], 0)
    yield LoopedICLClassifier(n_estimators=1).fit(X, y > 0).predict_proba(X)
    yield LoopedICLRegressor(n_estimators=1, n_loops="auto").fit(X, y).predict(X)
    yield from KernelMachineRegressor().fit(X, y).predict(X, return_std=True)
    yield KernelMachineClassifier().fit(X, y > 0).predict_proba(X)


def programmed_results():
    for evaluation in ("dense", "fast"):
        machine = SubleqMachine(8, 12, cells="integer", n_bits=20, dtype="float32")
        run = machine.run("x: .word 70001\n y: .word 3\n add x, y", evaluation=evaluation)
        yield np.array(run.cells)
    machine = FleqMachine(n_memory=8, n_instructions=4, n_entries=3, dtype="float32")
    text = "x: .vector 1.1 2 3\n y: .vector 4 5 6.7\n z: .word 0\n dot x, y, z"
    yield np.array([cell.values for cell in machine.run(text, evaluation="dense").cells])
    X = np.arange(12.0).reshape(6, 2) ** 2
    yield sklearn_looped.ProgrammedRidge().fit(X, X[:, 0]).coef_
    yield (
        sklearn_looped.ProgrammedSGDRegressor(random_state=0, n_loops=9).fit(X / 99, X[:, 0]).coef_
    )


@pytest.fixture(scope="module")
def expected():
    return list(results()), list(programmed_results())


@pytest.mark.parametrize("mode", MODES)
def test_predictions_do_not_see_the_callers_modes(mode, expected):
    with MODES[mode]():
        found = list(results())
    for one, other in zip(found, expected[0], strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("mode", MODES)
def test_programs_do_not_see_the_callers_modes(mode, expected):
    with MODES[mode]():
        found = list(programmed_results())
    for one, other in zip(found, expected[1], strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_model_fitted_under_modes_predicts_without_them(expected, rng):
    X = rng.normal(size=(30, 2))
    plain = LoopedICLRegressor(n_estimators=1).fit(X, X[:, 0]).predict(X)
    checkpoints._load.cache_clear()
    with ExitStack() as stack:
        for mode in ("inference", "autocast", "bfloat16"):
            stack.enter_context(MODES[mode]())
        model = LoopedICLRegressor(n_estimators=1).fit(X, X[:, 0])
    np.testing.assert_array_equal(model.predict(X), plain)
    weights = checkpoints.load_checkpoint("tabular").network.state_dict().values()
    assert not any(weight.is_inference() for weight in weights)


def test_a_generator_is_in_its_own_modes_only_while_it_computes():
    @in_own_modes
    def states():
        sent = yield torch.is_autocast_enabled("cpu"), torch.is_grad_enabled()
        yield sent, torch.is_autocast_enabled("cpu"), torch.is_grad_enabled()

    with torch.autocast("cpu"):
        run = states()
        assert next(run) == (False, False)
        assert torch.is_autocast_enabled("cpu")
        assert torch.is_grad_enabled()
        assert run.send("back") == ("back", False, False)
        assert torch.is_autocast_enabled("cpu")
        with pytest.raises(StopIteration):
            next(run)
