"""
Graph algorithms as programs on the tape
========================================

`GraphMachine` is one looped transformer of constant width: a position is an angle on the circle,
two numbers however many nodes there are. Which algorithm it runs is on its tape, as numbers that
say what a node offers its neighbours (De Luca & Fountoulakis 2024).
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.neighbors import kneighbors_graph

from sklearn_looped import GraphMachine

places = np.random.default_rng(1).uniform(size=(40, 2))
graph = kneighbors_graph(places, 3, mode="distance")

machine = GraphMachine(max_nodes=4096)
before = machine.fingerprint()
for name in ("breadth", "shortest", "strong"):
    print(f"{name:>8}", machine.instructions[name])

# %%
# The colour is the result of each program: when a node was visited, how far it is from the star,
# the component it belongs to. Edges of the graph are grey, those of the tree are red.

programs = {"breadth": "step", "depth": "step", "shortest": "value", "finish strong": "label"}
figure, axes = plt.subplots(1, 4, figsize=(13, 3.6), layout="constrained")
for ax, (program, field) in zip(axes, programs.items(), strict=True):
    undirected = graph if "strong" in program else graph.maximum(graph.T)
    run = machine.run(program, undirected, None if "strong" in program else 0)
    for a, b in zip(*undirected.nonzero(), strict=True):
        ax.plot(*places[[a, b]].T, color="0.85", zorder=0)
    for node, parent in enumerate(run.nodes("parent").astype(int)):
        if parent >= 0 and "strong" not in program:
            ax.plot(*places[[parent, node]].T, color="tab:red", zorder=1)
    ax.scatter(*places.T, c=run.nodes(field), zorder=2)
    if "strong" not in program:
        ax.plot(*places[0], "r*", markersize=14)
    ax.set(title=f"{program}: {run.n_loops} loops", xticks=[], yticks=[])
plt.show()

# %%
# The weights are the same as before, and the width is that of a machine for half a million nodes.

print("weights unchanged:", machine.fingerprint() == before)
print("width:", machine.block.fields.width, GraphMachine(2**19).block.fields.width)
