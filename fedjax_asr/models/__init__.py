"""Pure Flax Linen modules: features to logits, and their loss."""
