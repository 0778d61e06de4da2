"""What does it cost that one network runs all programs? Errors and times beside special ones.

The same problem by `UniversalMachine`, whose weights stay as they are, and by the transformer that
was built for it; errors are against numpy and scikit-learn. ``python -m benchmarks universal``
prints a table and writes benchmarks/results/universal.json.
"""

import argparse
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import SGDRegressor
from sklearn.neural_network import MLPRegressor

from benchmarks.common.report import report
from benchmarks.common.timing import timed
from sklearn_looped import (
    Calculator,
    ProgrammedMLPRegressor,
    ProgrammedSGDRegressor,
    UniversalMachine,
)
from sklearn_looped.programmed import linalg
from sklearn_looped.programmed.algorithms.mlp import initial_network
from sklearn_looped.programmed.machines.universal_result import TwoLayers

SIZE, N_SAMPLES, EPOCHS, RATE = 4, 40, 5, 0.1
SGD = {
    "penalty": None, "learning_rate": "constant", "eta0": RATE, "shuffle": False, "tol": None,
    "fit_intercept": False, "max_iter": EPOCHS,
}  # fmt: skip
MLP = {
    "hidden_layer_sizes": (SIZE,), "activation": "logistic", "alpha": 0.0,
    "batch_size": 1, "learning_rate_init": RATE, "momentum": 0.0, "nesterovs_momentum": False,
    "shuffle": False, "max_iter": EPOCHS, "tol": 0.0, "n_iter_no_change": EPOCHS + 1,
    "random_state": 0,
}  # fmt: skip


class Case(NamedTuple):
    """A problem: by the universal machine (arrays and loops), by a special one, and its answer."""

    program: str
    universal: Callable[[], tuple[list[Any], int]]
    special: Callable[[], list[Any]]
    answer: list[Any]


def cases(machine: UniversalMachine) -> Iterator[Case]:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, SIZE, SIZE))
    yield from calculations(machine)
    yield from matrices(machine, a, b)
    X, w = rng.normal(size=(N_SAMPLES, SIZE)), rng.normal(size=(SIZE, 2))
    Y = np.tanh(X @ w) + 0.1 * rng.normal(size=(N_SAMPLES, 2))
    yield from learning(machine, X, Y)


def calculations(machine: UniversalMachine) -> Iterator[Case]:
    own, shared = Calculator(), Calculator(machine)
    for operation, x, y, answer in (
        ("divide", 5.0, -2.0, -2.5),
        ("exp", 2.5, 0.0, np.exp(2.5)),
        ("sin", 1e300, 0.0, np.sin(1e300)),
    ):

        def universal(o: str = operation, x: float = x, y: float = y) -> tuple[list[Any], int]:
            result = shared.run(o, x, y)
            return [result["z"].values[0]], result.n_loops

        special = lambda o=operation, x=x, y=y: [own(o, x, y)]  # noqa: E731
        yield Case(f"calculator: {operation}", universal, special, [answer])


def matrices(machine: UniversalMachine, a: np.ndarray, b: np.ndarray) -> Iterator[Case]:
    def one(method: Callable[..., Any], *args: np.ndarray) -> Callable[[], tuple[list[Any], int]]:
        def run() -> tuple[list[Any], int]:
            result = method(*args)
            return [result.value], result.run.n_loops

        return run

    yield Case("product", one(machine.matmul, a, b), lambda: [linalg.matmul(a, b).value], [a @ b])
    yield Case("transpose", one(machine.transpose, a), lambda: [linalg.transpose(a).value], [a.T])
    yield Case("inverse", one(machine.inv, a), lambda: [linalg.inv(a).value], [np.linalg.inv(a)])
    s = np.diag([4.0, 2.0, -1.0, 0.5]) + 0.1 * (a + a.T)

    def eigenvalue() -> tuple[list[Any], int]:
        result = machine.power_iteration(s)
        return [result.value.eigenvalue], result.run.n_loops

    special = lambda: [linalg.eigh(s, 1).value.eigenvalues[0]]  # noqa: E731
    yield Case("power iteration", eigenvalue, special, [np.linalg.eigvalsh(s)[-1]])


def learning(machine: UniversalMachine, X: np.ndarray, Y: np.ndarray) -> Iterator[Case]:
    y = Y[:, 0]

    def linear() -> tuple[list[Any], int]:
        result = machine.linear_sgd(X, y, rate=RATE, epochs=EPOCHS)
        return [result.value], result.run.n_loops

    fitted = SGDRegressor(**SGD).fit(X, y)
    special = lambda: [ProgrammedSGDRegressor(**SGD).fit(X, y).coef_]  # noqa: E731
    yield Case("linear SGD", linear, special, [fitted.coef_])

    network = initial_network((SIZE, SIZE, 2), np.random.RandomState(0))
    start = TwoLayers(list(network.coefs), list(network.intercepts))

    def backpropagation() -> tuple[list[Any], int]:
        result = machine.backpropagation(X, Y, start, rate=RATE, epochs=EPOCHS)
        return [*result.value.coefs, *result.value.intercepts], result.run.n_loops

    def special_network() -> list[Any]:
        model = ProgrammedMLPRegressor(**MLP).fit(X, Y)
        return [*model.coefs_, *model.intercepts_]

    peer = MLPRegressor(**MLP, solver="sgd").fit(X, Y)
    answer = [*peer.coefs_, *peer.intercepts_]
    yield Case("backpropagation", backpropagation, special_network, answer)


def measure(case: Case, machine: UniversalMachine) -> dict[str, Any]:
    """Row of the table."""

    def error(got: list[Any]) -> float:
        return max(
            float(np.max(np.abs(np.asarray(g) - w)) / np.max(np.abs(w)))
            for g, w in zip(got, case.answer, strict=True)
        )

    before = machine.transformer.fingerprint()
    # First calls take longer: a special transformer's builds its weights.
    case.universal()
    case.special()
    (got, n_loops), seconds = timed(case.universal)[:2]
    special, special_seconds = timed(case.special)[:2]
    return {
        "program": case.program, "loops": n_loops, "error": error(got),
        "special's error": error(special), "ms": 1e3 * seconds,
        "special's ms": 1e3 * special_seconds, "times slower": seconds / special_seconds,
        "weights": "unchanged" if machine.transformer.fingerprint() == before else "CHANGED",
    }  # fmt: skip


def run(args: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", ConvergenceWarning)  # as many epochs as asked for
    machine = UniversalMachine(SIZE)
    before = machine.transformer.fingerprint()
    rows = [measure(case, machine) for case in cases(machine)]
    after = machine.transformer.fingerprint()
    print(f"fingerprint before {before[:16]}..., after {after[:16]}...\n")
    report(args, "universal", rows)
