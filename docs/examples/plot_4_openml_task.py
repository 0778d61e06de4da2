"""
An OpenML task on its official folds
====================================

The estimators run on OpenML tasks as they are: nominal columns and missing cells are theirs to
handle. ``python -m sklearn_looped --openml-task 5005`` prints the same beside baselines.

The documentation is built without network, and this script was run only if the builder set
``OPENML_CACHE_DIR`` to a folder that holds the data. Where no output stands below, it was not run.
The scores of 25 such tasks are in :doc:`the benchmarks </benchmarks>`.
"""

import openml
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.linear_model import LassoCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from sklearn_looped import LoopedICLRegressor

task = openml.tasks.get_task(5005, download_splits=True)  # chatfield_4, 235 rows
X, y, *_ = task.get_dataset().get_data(target=task.target_name)

one_hot = (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_exclude="number"))
lasso = make_pipeline(make_column_transformer(one_hot, remainder="passthrough"), LassoCV())

for fold in range(3):
    train, test = task.get_train_test_split_indices(fold=fold)
    scores = [
        model.fit(X.iloc[train], y.iloc[train]).score(X.iloc[test], y.iloc[test])
        for model in (LoopedICLRegressor(random_state=0), lasso)
    ]
    print("fold {}: R2 {:.3f}, of LassoCV {:.3f}".format(fold, *scores))

# %%
# OpenML's own runner takes the estimator too, and `sklearn_looped` models can be rebuilt from the
# flow it makes. Publishing the run needs a key of yours.

run = openml.runs.run_model_on_task(
    LoopedICLRegressor(random_state=0), task, avoid_duplicate_runs=False, upload_flow=False
)
print(run.flow.name)
