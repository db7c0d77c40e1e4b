"""Four host devices: the client axis is tested on 1, 2 and 4 of them."""

import jax

# Before anything starts the backend, whichever tests are run.
jax.config.update('jax_num_cpu_devices', 4)
