import pytest
import torch

from sklearn_looped.programmed.transformer.certificate import (
    certify,
    integer_limit,
    logit_threshold,
    required_temperature,
)
from sklearn_looped.programmed.transformer.layers import Unit, make_layer, ordered_softmax
from sklearn_looped.programmed.transformer.layout import Layout
from sklearn_looped.programmed.transformer.primitives import match_read

DTYPES = [torch.float64, torch.float32]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [2, 17, 4096])
def test_softmax_is_one_hot_from_the_threshold_on_and_not_much_below(dtype, n):
    for softmax in (ordered_softmax, lambda scores: torch.softmax(scores, -1)):
        scores = torch.full((1, n), -logit_threshold(dtype), dtype=dtype)
        scores[0, n // 2] = 0
        assert softmax(scores).count_nonzero() == 1
        assert softmax(scores + (scores < 0)).count_nonzero() == n


@pytest.mark.parametrize("dtype", DTYPES)
def test_integer_limit_is_tight(dtype):
    limit = torch.tensor(integer_limit(dtype), dtype=dtype)
    assert limit - 1 + 1 == limit
    assert limit + 1 == limit


@pytest.mark.parametrize("margin", [0.5, 1.0, 3.0])
def test_required_temperature_is_the_smallest_power_of_two(margin):
    temperature = required_temperature(margin, torch.float64)
    assert temperature * margin >= logit_threshold(torch.float64) > temperature * margin / 2


def reading_layer(layout):
    head = match_read(layout, "pointer", {"value": "out"}, rows=("a",), keys=("b",))
    return make_layer(layout, [head], [Unit({layout.at("value"): 8.0}, {})], ("a",))


LAYOUT = Layout(one=1, null=1, position=3, pointer=3, value=1, out=1)


def test_certificate_states_margin_and_largest_integer():
    certificate = certify([reading_layer(LAYOUT)], LAYOUT, {"value": 100})
    assert certificate.logit_margin == 1024
    assert certificate.largest_integer == 800
    assert certificate.integer_limit == 2**53


def test_real_fields_are_not_counted_as_integers():
    assert certify([reading_layer(LAYOUT)], LAYOUT, {}).largest_integer == 0


def test_temperature_below_the_bound_raises_with_the_numbers():
    with pytest.raises(ValueError, match=r"logit margin is 512, .* float64 takes 745\.25"):
        certify([reading_layer(LAYOUT).at_temperature(512.0)], LAYOUT, {})


def test_integers_beyond_the_dtype_raise_with_the_numbers():
    layout = LAYOUT.astype(torch.float32)
    certify([reading_layer(layout)], layout, {"value": 2**21})
    with pytest.raises(ValueError, match=r"up to 16777224, but float32 is exact only to 16777216"):
        certify([reading_layer(layout)], layout, {"value": 2**21 + 1})


@pytest.mark.parametrize("temperature", [0.0, -1.0])
def test_margins_of_zero_and_below_raise_too(temperature):
    with pytest.raises(ValueError, match=r"takes 745\.25; widen the gap"):
        certify([reading_layer(LAYOUT).at_temperature(temperature)], LAYOUT, {})


def test_halves_are_counted_as_integers_of_half_the_size():
    unit = Unit({LAYOUT.at("value"): 0.5, LAYOUT.at("one"): 3.0}, {})
    layer = make_layer(LAYOUT, (), [unit], ("a",))
    assert certify([layer], LAYOUT, {"value": 9, "one": 1}).largest_integer == 15


def test_gates_are_counted_as_units_are():
    unit = Unit({LAYOUT.at("one"): 1.0}, {}, gate={LAYOUT.at("value"): 7.0})
    layer = make_layer(LAYOUT, (), [unit], ("a",))
    assert certify([layer], LAYOUT, {"value": 10, "one": 1}).largest_integer == 70
