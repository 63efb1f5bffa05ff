"""Training, evaluation and gate, export, registry."""
