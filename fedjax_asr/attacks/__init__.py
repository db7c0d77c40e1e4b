"""What an update reveals: reconstruction of speech, and how to measure it."""
