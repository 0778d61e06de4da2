"""
Stochastic gradient descent inside a transformer
================================================

`ProgrammedSGDRegressor` writes samples and step sizes on a tape and applies one block of fixed
weights; every loop is one step of `SGDRegressor`, computed by attention and feed-forward layers.
Here we watch the coefficients, which lie in one token, and compare with scikit-learn.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.linear_model import SGDRegressor
from sklearn.preprocessing import scale

from sklearn_looped import ProgrammedSGDRegressor

data = load_diabetes(as_frame=True, scaled=False)
columns = ["bmi", "bp", "s5"]
X, y = scale(data.data[columns])[:150], scale(data.target)[:150]

options = {"eta0": 0.05, "max_iter": 4, "tol": None, "random_state": 0}
model = ProgrammedSGDRegressor(keep_trace=True, **options).fit(X, y)
peer = SGDRegressor(**options).fit(X, y)
print(f"{model.n_loops_} loops; largest difference of a coefficient to SGDRegressor's: "
      f"{np.abs(model.coef_ - peer.coef_).max():.1e}")  # fmt: skip

# %%
# The trace has a row a loop: sample, step size, score, derivative, weights. The same weights serve
# any data of this size, and say why the result can be trusted.

print(model.certificate_)
model.trace_.head()

# %%

path = np.array(model.trace_.filter(regex=r"^w").to_numpy().tolist())
figure, axes = plt.subplots(figsize=(7, 3.8), layout="constrained")
for name, weights, end in zip(columns, path.T, peer.coef_, strict=True):
    [line] = axes.plot(weights, label=name)
    axes.plot(len(path), end, "o", color=line.get_color())
axes.set(xlabel="loops, one sample each", ylabel="coefficient")
axes.legend(frameon=False, title="dots: SGDRegressor at the end")
plt.show()
