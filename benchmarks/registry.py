"""The benchmarks by name, and about how long each takes on one core with its default options.

A name is that of a module in this package. The first line of the module's docstring is the question
that it answers; its ``run(args)`` answers it, and its ``add_options(parser)``, if it has one, adds
options to the command line.
"""

import ast
from importlib import import_module
from pathlib import Path
from types import ModuleType

TIMES = {
    "openml_regression": "15 minutes",
    "kept_apart": "an hour",
    "rows": "2 hours",
    "openml_binary": "half an hour",
    "keel": "half an hour",
    "classes": "5 minutes",
    "openml_intervals": "an hour",
    "openml_loops": "20 minutes",
    "experts_ablation": "20 minutes",
    "few_columns": "10 minutes",
    "null_columns": "15 minutes",
    "sklearn_classification": "1 minute",
    "odd_tables": "15 minutes",
    "icl_speed": "5 minutes",
    "peers_speed": "5 minutes",
    "cv_speed": "15 minutes",
    "on_demand": "5 minutes",
    "loops_on_prior": "3 minutes",
    "ouro_stages": "an hour",
    "bridge": "3 minutes",
    "training_speed": "half an hour",
    "training_profile": "1 minute",
    "scaling": "half an hour",
    "sgd_in_context": "5 minutes",
    "prior_speed": "1 minute",
    "calculator": "2 minutes",
    "parity": "an hour",
    "constant_width": "10 minutes",
    "ledger": "10 seconds",
    "universal": "1 minute",
    "programmed_certificates": "5 minutes",
    "programmed_csgraph": "5 minutes",
    "programmed_linalg": "1 minute",
    "programmed_mlp": "5 minutes",
    "programmed_sgd_speed": "5 minutes",
    "programmed_speed": "5 minutes",
    "paper.algoformer": "half an hour",
    "paper.architecture": "2 minutes",
    "paper.condition_number": "5 minutes",
    "paper.construction": "6 minutes",
    "paper.cost": "1 minute",
    "paper.curves": "1 minute",
    "paper.decoder": "2 hours",
    "paper.decoder_probing": "10 minutes",
    "paper.function_classes": "10 minutes",
    "paper.loops": "10 minutes",
    "paper.openml_table": "15 minutes",
    "paper.pages": "10 seconds",
    "paper.ouro": "half an hour",
    "paper.out_of_distribution": "20 minutes",
    "paper.probing": "20 minutes",
    "paper.sample_complexity": "7 minutes",
    "paper.unlooped": "half an hour",
}


def load(name: str) -> ModuleType:
    """Import a benchmark."""
    return import_module(f"benchmarks.{name}")


def question(name: str) -> str:
    """Return the question of a benchmark; read without importing it, which takes seconds."""
    path = Path(__file__).parent.joinpath(*name.split(".")).with_suffix(".py")
    text = ast.get_docstring(ast.parse(path.read_text())) or ""
    return text.partition("\n")[0]
