"""Sums of many clients' updates: who said what, and a server that cheats."""
