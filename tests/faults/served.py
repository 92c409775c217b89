"""Gunicorn serves this module on the fault bench: a process asks a Redis that has failed again after OPEN_SECONDS.

Everywhere else a process waits five seconds; tests/integration/test_incidents.py tries them. With fewer seconds a
fault is over sooner, and a process more often meets a server that is still dead.
"""

import os
from functools import partialmethod

from memora.services.cache.breaker import CircuitBreaker

# Before any module has made a breaker
CircuitBreaker.__init__ = partialmethod(
	CircuitBreaker.__init__, open_seconds=float(os.environ["OPEN_SECONDS"])
)

from devtools.wsgi import application  # noqa: E402, F401
