"""
A first prediction
==================

`fit` keeps the training rows and trains nothing. `predict` runs the looped transformer over them
and the queries, and gives a distribution for each query: a mean, a standard deviation, quantiles.
"""

# %%
# The diabetes data of scikit-learn: 442 patients, ten columns, a measure of the disease's progress
# a year later.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.linear_model import RidgeCV
from sklearn.metrics import r2_score
from sklearn.model_selection import train_test_split

from sklearn_looped import LoopedICLRegressor

X, y = load_diabetes(return_X_y=True, as_frame=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)

model = LoopedICLRegressor()
model.fit(X_train, y_train)

# %%
# One split says little of which model is better; the benchmarks have 99 regression sets.

mean, std = model.predict(X_test, return_std=True)
ridge = RidgeCV().fit(X_train, y_train)
print(f"R2: {r2_score(y_test, mean):.3f}, of RidgeCV {ridge.score(X_test, y_test):.3f}")

# %%
# Eight of ten targets should lie between the quantiles .1 and .9.

low, high = model.predict_quantiles(X_test, [0.1, 0.9]).T
inside = (low <= y_test) & (y_test <= high)
print(f"{inside.mean():.0%} of {len(y_test)} targets are inside")

order = np.argsort(mean)
place = np.arange(len(order))
figure, axes = plt.subplots(figsize=(7, 3.8), layout="constrained")
axes.fill_between(place, low[order], high[order], alpha=0.3, label="quantiles .1 to .9")
axes.plot(place, mean[order], label="mean")
axes.plot(place, y_test.to_numpy()[order], "k.", markersize=4, label="target")
axes.set(xlabel="test rows, sorted by prediction", ylabel="progression")
axes.legend(frameon=False)
plt.show()
