"""Attacks on DeepSpeech 2, by what drives its first recurrence."""
