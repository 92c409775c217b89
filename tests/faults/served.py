"""What gunicorn serves on the fault bench: Memora whose processes soon ask a Redis again that has failed.

OPEN_SECONDS says how soon. A fault is over sooner so, and a process meets a server that is still dead more often. The
five seconds of every other server are tried in tests/integration/test_incidents.py.
"""

import os
from functools import partialmethod

from memora.services.cache.breaker import CircuitBreaker

# Before any module has made a breaker
CircuitBreaker.__init__ = partialmethod(
	CircuitBreaker.__init__, open_seconds=float(os.environ["OPEN_SECONDS"])
)

from devtools.wsgi import application  # noqa: E402, F401
