import numpy as np
import pytest
import torch

from sklearn_looped.programmed.transformer.layout import Layout, n_code_bits, sign_code, sign_value


def test_fields_are_consecutive_and_do_not_overlap():
    layout = Layout(a=2, b=1, c=3)
    assert layout.index("a", "b", "c") == list(range(layout.width))


def test_fields_hold_what_is_packed():
    layout = Layout(a=2, b=1)
    state = layout.pack(3, a=[[1, 2], [3, 4], [5, 6]], b=7)
    assert state[:, layout["a"]].tolist() == [[1, 2], [3, 4], [5, 6]]
    assert state[:, layout["b"]].flatten().tolist() == [7, 7, 7]


def test_pack_has_no_negative_zero():
    assert not torch.signbit(Layout(a=1).pack(1, a=-0.0)).any()


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda: Layout(a=-1), "width -1 of field 'a'"),
        (lambda: Layout(a=1)["b"], "unknown field 'b'"),
        (lambda: Layout(a=1).extend(a=2), "'a' twice"),
        (lambda: Layout(a=1).at("a", 1), "entry 1 of field 'a'"),
        (lambda: Layout(a=1, b=2).pairs({"a": "b"}), "equal widths"),
        (lambda: Layout(a=1, b=1, c=1).pairs({"a": "c", "b": "c"}), "overlap"),
        (lambda: Layout(a=2).terms(a=1.0), "a term has width 1"),
        (lambda: sign_value([1.0, 0.5]), "other than -1 and \\+1"),
    ],
)
def test_bad_layouts_raise(action, message):
    with pytest.raises(ValueError, match=message):
        action()


def test_sign_code_is_inverted_and_distinct_codes_are_two_apart():
    codes = sign_code(np.arange(16), 4)
    assert sign_value(codes).tolist() == list(range(16))
    scores = codes @ codes.T
    assert (np.diag(scores) == 4).all()
    assert scores[~np.eye(16, dtype=bool)].max() == 2


def test_sign_code_is_twos_complement():
    values = np.arange(-8, 8)
    assert sign_value(sign_code(values, 4), signed=True).tolist() == values.tolist()


@pytest.mark.parametrize(("n", "bits"), [(2, 2), (4, 2), (5, 3), (128, 7), (129, 8)])
def test_n_code_bits(n, bits):
    assert n_code_bits(n) == bits
