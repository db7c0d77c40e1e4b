"""Figures, drawn from a run directory and nothing else."""
