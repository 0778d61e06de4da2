"""
Loops as a dial
===============

One block of weights is applied again and again. More loops cost more time and, up to a point, buy
accuracy; the weights stay the same. `staged_predict` gives the prediction after every loop in one
pass.
"""

# %%
# The default weights were trained with three to six loops. We run sixteen, on one split of each of
# three data sets.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes, make_friedman1, make_regression
from sklearn.metrics import r2_score
from sklearn.model_selection import train_test_split

from sklearn_looped import LoopedICLRegressor

tables = {
    "diabetes": load_diabetes(return_X_y=True),
    "friedman1": make_friedman1(400, noise=1.0, random_state=0),
    "linear, noisy": make_regression(400, 10, noise=50.0, random_state=0),
}
splits = {name: train_test_split(X, y, random_state=0) for name, (X, y) in tables.items()}

figure, axes = plt.subplots(figsize=(7, 3.8), layout="constrained")
for name, (X_train, X_test, y_train, y_test) in splits.items():
    model = LoopedICLRegressor(n_loops=16).fit(X_train, y_train)
    scores = [r2_score(y_test, prediction) for prediction in model.staged_predict(X_test)]
    axes.plot(range(1, 17), scores, marker="o", label=name)
    print(f"{name}: R2 {scores[0]:.3f} after 1 loop, {scores[5]:.3f} after 6, {scores[15]:.3f} "
          "after 16")  # fmt: skip
axes.axvline(6, color="0.6", linestyle="--", label="as trained")
axes.set(xlabel="loops", ylabel="R2 on test rows")
axes.legend(frameon=False)
plt.show()

# %%
# By default the support turns the dial: the network predicts its training rows too, each without
# its target, and takes the fewest loops that predict them well. With the rule *settled* each query
# leaves the loop when its prediction no longer changes.

for name, (X_train, X_test, y_train, y_test) in splits.items():
    model = LoopedICLRegressor().fit(X_train, y_train)
    for rule in ("support", "settled"):
        model.set_params(exit_rule=rule)
        prediction, loops = model.predict(X_test, return_n_loops=True)
        score = r2_score(y_test, prediction)
        print(f"{name}, {rule}: R2 {score:.3f} with {np.mean(loops):.1f} loops a query")
