"""The app that gunicorn serves as a web host of its own: its folder `sites` is the one that CUT_HOST_SITES names."""

import os

os.chdir(os.environ["CUT_HOST_SITES"])

from devtools.wsgi import application  # noqa: E402, F401 (gunicorn looks it up by name)
