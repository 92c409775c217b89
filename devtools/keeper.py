"""Stops a bench's services when the last command that used them was killed. All other commands stop the services themselves.

Each command holds a shared lock while it uses the services, and the kernel frees the lock when the command is killed.
The keeper waits for the lock in a process of its own: python -m devtools.keeper <the bench's directory>.
"""

import fcntl
import sys
from pathlib import Path

from devtools import services
from devtools.paths import Bench


def main(bench: Bench) -> None:
	"""Waits until no command uses the services, and then stops the services that commands have started."""
	done = False
	while not done:
		with services.in_use_lock(bench) as in_use:
			fcntl.flock(in_use, fcntl.LOCK_EX)
		with services.if_unused(bench) as done:
			if done:
				services.stop_started(bench)
				services.keeper_file(bench).remove()


if __name__ == "__main__":
	main(Bench(Path(sys.argv[1])))
