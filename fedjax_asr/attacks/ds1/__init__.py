"""Attacks on DeepSpeech 1, of which the first layer sees context windows."""
