"""Meta-training: recipes, runs that resume, and the shipped pretrainings."""
