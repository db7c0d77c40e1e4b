"""Waveform to features and transcript to labels, for one utterance."""
