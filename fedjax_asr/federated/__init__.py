"""One round of simulated federated learning."""
