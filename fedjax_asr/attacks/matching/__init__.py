"""Descent on the distance between gradients, for any model."""
