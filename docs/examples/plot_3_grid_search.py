"""
Choosing the number of loops by cross-validation
================================================

``n_loops`` is a parameter like any other, so `GridSearchCV` can choose it.
`LoopedICLRegressorCV` makes the same choice in one pass over the loops, as `LassoCV` does on its
path.
"""

import time

import matplotlib.pyplot as plt
from sklearn.datasets import make_friedman1
from sklearn.model_selection import GridSearchCV, KFold

from sklearn_looped import LoopedICLRegressor, LoopedICLRegressorCV

X, y = make_friedman1(250, noise=1.0, random_state=0)
folds = KFold(3, shuffle=True, random_state=0)
candidates = [1, 2, 4, 6, 8, 12]

start = time.process_time()
search = GridSearchCV(LoopedICLRegressor(), {"n_loops": candidates}, cv=folds).fit(X, y)
seconds_search = time.process_time() - start

start = time.process_time()
model = LoopedICLRegressorCV(n_loops=candidates, cv=folds).fit(X, y)
seconds_model = time.process_time() - start

print(f"GridSearchCV:         {search.best_params_['n_loops']} loops, {seconds_search:.1f} s")
print(f"LoopedICLRegressorCV: {model.n_loops_} loops, {seconds_model:.1f} s")

# %%
# The first loops bring most; beyond a few, folds differ more than loops do.

figure, axes = plt.subplots(figsize=(7, 3.6), layout="constrained")
axes.plot(model.candidates_, model.score_path_, color="0.7")
axes.plot(model.candidates_, model.score_path_.mean(axis=1), marker="o", label="mean of folds")
axes.plot(candidates, search.cv_results_["mean_test_score"], "x", markersize=10,
          label="GridSearchCV")  # fmt: skip
axes.set(xlabel="loops", ylabel="R2 on the held-out fold", xticks=candidates)
axes.legend(frameon=False)
plt.show()
