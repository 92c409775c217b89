"""Keeps Memora Managers to their own Data Imports, on sites where they could change everybody's."""

from memora import install


def execute() -> None:
	install.keep_to_own_imports()
