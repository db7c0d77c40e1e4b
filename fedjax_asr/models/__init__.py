"""Pure Flax Linen modules: features to logits, loss and decoding."""
