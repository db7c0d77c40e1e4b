"""The jobs that `main` runs; each opens the config and calls the rooms."""
