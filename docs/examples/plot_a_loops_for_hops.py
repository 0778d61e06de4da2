"""
A looped language model takes a loop a hop
==========================================

Ouro (Zhu et al. 2025) is a language model whose blocks are applied to their own output a few times,
with an exit after every loop. Its authors train it in two stages: model and exits together, with
an entropy that keeps all loops in use (stage I); then the gate alone, on whether one more loop made
the next token likelier (stage II). This page does both in small, on questions of one to three hops,
such as "who is the mother of the boss of Ann", in less than a minute of processor time.
"""

# %%
# 16 entities and 4 relations, each a random permutation: 64 facts. All questions of one hop are
# seen in training, and 70 % of the others. Entities are capitals here, relations small letters; the
# last token is the answer.

import tempfile
import time
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import torch

from sklearn_looped.core.device import seeded_generator
from sklearn_looped.learned.checkpoints import load_checkpoint, save_checkpoint
from sklearn_looped.learned.model.language import LanguageConfig
from sklearn_looped.learned.priors.sequences import Relations
from sklearn_looped.learned.training.gate_losses import exit_distribution
from sklearn_looped.learned.training.metatrain import meta_train
from sklearn_looped.learned.training.recipe import Recipe

language = Relations(n_entities=16, n_relations=4, n_hops=3)
names = [*"ABCDEFGHIJKLMNOP", *"wxyz", "."]
for tokens in language.sample(seeded_generator(1), 3).tokens.tolist():
    print(" ".join(names[token] for token in tokens))

# %%
# Stage I: one block, four loops. `beta` weighs the entropy of the exits.

LOOPS = 4
config = LanguageConfig(language.n_tokens, language.length, width=64, n_loops=LOOPS)
stage_one = Recipe(
    n_steps=400,
    n_query=1,
    n_loops=(LOOPS, LOOPS),
    rows_per_step=96 * language.length,
    loss="ouro",
    beta=0.05,
    lr=2e-3,
    muon_lr=0.02,
    average=0.99,
)
start = time.process_time()
model = meta_train(config, language, stage_one).network

# %%
# Stage II: the model stays as it is, and the gate learns which loops were worth their while: those
# by which the log loss fell by more than `gamma`, told with sharpness `k`. A loop is seen to have
# been worth nothing after it, so that leaving comes a loop late. (Ouro has gamma = 0.005: there a
# hundredth of a nat is worth a loop.)

path = Path(tempfile.mkdtemp()) / "stage-one.safetensors"
save_checkpoint(model, path)
stage_two = replace(
    stage_one, n_steps=200, loss="gate", gamma=0.1, k=50.0, optimizer="adam", lr=1e-2
)
model = meta_train(config, language, stage_two, start=load_checkpoint(path)).network
print(f"{time.process_time() - start:.0f} s of processor time")

# %%
# On questions of training: the share of right answers after each loop, and where the gate leaves.

drawn = language.sample(seeded_generator(2), 3000)
with torch.inference_mode():
    steps = model.trajectory(drawn.tokens[:, :-1], LOOPS)
right = (steps.output[:, :, -1].argmax(-1) == drawn.tokens[:, -1]).float()
leaving = exit_distribution(steps.exit[:, :, -1])

figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
loops = torch.arange(1, LOOPS + 1)
for hops in range(1, 4):
    these = drawn.difficulty == hops
    label = f"{hops} hop{'s' * (hops > 1)}"
    axes[0].plot(loops, right[:, these].mean(1), marker="o", label=label)
    axes[1].plot(loops, leaving[:, these].mean(1), marker="o")
    expected = float((loops[:, None] * leaving[:, these]).sum(0).mean())
    print(f"{label}: {right[-1, these].mean():.2f} right, {expected:.2f} loops on average")
axes[0].set(xlabel="loops", ylabel="share of right answers", xticks=loops, ylim=(0, 1.02))
axes[1].set(xlabel="loops", ylabel="probability to leave", xticks=loops, ylim=(0, None))
axes[0].legend(frameon=False)
plt.show()

# %%
# On the questions that were kept: the answers must be combined from facts.

kept = replace(language, testing=True).sample(seeded_generator(3), 3000)
with torch.inference_mode():
    steps = model.trajectory(kept.tokens[:, :-1], LOOPS)
right = (steps.output[:, :, -1].argmax(-1) == kept.tokens[:, -1]).float()
for hops in (2, 3):
    print(f"{hops} hops, kept: {right[-1, kept.difficulty == hops].mean():.2f} right (guess: 0.06)")
