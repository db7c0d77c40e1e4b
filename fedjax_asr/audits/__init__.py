"""What attacks reach against a promise of privacy."""
