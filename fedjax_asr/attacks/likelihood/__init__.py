"""Attacks that reckon with noise: what speech makes the update most likely."""
