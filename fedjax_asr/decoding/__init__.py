"""From logits to text, and how much of it is right."""
