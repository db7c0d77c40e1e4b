"""What jaxtyping's pytest hook checks annotations with (see pyproject)."""

import beartype

# An int is a float, as PEP 484 and pyright have it.
check = beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))
