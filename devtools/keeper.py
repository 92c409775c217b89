"""Stops a bench's services when the last command that used them was killed. A command that ends otherwise does so itself.

Each command holds a shared lock while it uses the services, and the kernel takes the lock away from one that is
killed. The keeper waits for the lock in a process of its own: python -m devtools.keeper <the bench's directory>.
"""

import fcntl
import sys
from pathlib import Path

from devtools import services
from devtools.paths import Bench


def main(bench: Bench) -> None:
	"""Returns when no command uses the services, and those that commands have started are stopped."""
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
