"""A few cases of each kind of the benchmark that attacks the certificates."""

import pytest

from benchmarks.certificate_attacks.outcome import Outcome
from benchmarks.programmed_certificates import KINDS, attack

N_CASES = {
    "MLP": 2,
    "FLEQ": 5,
    "universal": 5,
    "universal, paper form": 5,
    "inv and solve": 5,
    "eigh": 4,
    "SUBLEQ, paper layout": 3,
}


@pytest.mark.parametrize("kind", KINDS)
def test_no_certified_result_differs(kind):
    outcomes = {seed: attack(kind, seed) for seed in range(N_CASES.get(kind, 8))}
    assert Outcome.RIGHT in outcomes.values()
    assert Outcome.WRONG not in outcomes.values()
