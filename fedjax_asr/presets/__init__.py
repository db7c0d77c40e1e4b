"""Named parts of configs: sections that several config files share.

Each call gives a fresh record, free to be changed.
"""
