"""
Dijkstra's algorithm in attention
=================================

A looped transformer with programmed weights finds shortest paths: one token a node, the graph as
the adjacency matrix of the attention. Every loop settles one node: a head reads the open node of
smallest distance, a graph head reads its edges, and the feed-forward layers relax them (De Luca &
Fountoulakis 2024). The distances equal scipy's in every bit.
"""

import matplotlib.pyplot as plt
import numpy as np
import scipy.sparse.csgraph
from sklearn.neighbors import kneighbors_graph

from sklearn_looped.programmed import csgraph

places = np.random.default_rng(0).uniform(size=(30, 2))
graph = kneighbors_graph(places, 4, mode="distance")
graph = graph.maximum(graph.T)

distances, tree, (run,) = csgraph.dijkstra(
    graph, indices=0, return_predecessors=True, return_run=True
)
expected = scipy.sparse.csgraph.dijkstra(graph, indices=0)
print(f"{run.n_loops} loops for {len(places)} nodes; equal to scipy: "
      f"{np.array_equal(distances, expected)}")  # fmt: skip

# %%
# The run holds the block, the tape and the adjacency matrix, so it can be run again, dense, to look
# at every state. The field ``distance`` of a node is its distance so far; ``shut`` is 0 from when
# it is reached until it is settled.

options = {"evaluation": "dense", "adjacency": run.adjacency}
states = [*run.block.states(run.tape, run.n_loops, **options)]
so_far = np.array([state.read("node", "distance")[:, 0] for state in states])
shut = np.array([state.read("node", "shut")[:, 0] for state in (run.tape, *states)])
so_far[so_far > 1] = np.nan  # not reached yet: lengths on the tape are at most 1

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.4), layout="constrained")
for node, before in enumerate(tree):
    if before >= 0:
        left.plot(*places[[before, node]].T, color="0.5", zorder=1)
left.scatter(*places.T, c=distances, zorder=2)
left.plot(*places[0], "r*", markersize=14)
left.set(title="shortest-path tree from the star", xticks=[], yticks=[])

order = np.argsort(distances)
image = right.imshow(so_far[:, order].T, aspect="auto")
loop, node = np.nonzero(np.diff(shut[:, order], axis=0) == 1)
right.plot(loop, node, "r.", markersize=5, label="settled in this loop")
right.set(xlabel="loop", ylabel="nodes by final distance", title="distance so far on the tokens")
right.legend(loc="lower left")
figure.colorbar(image, label="in units of the tape")
plt.show()
