"""Lets Memora Managers use Frappe's Data Import, on sites that were installed before questions could be imported."""

from memora import install


def execute() -> None:
	install.let_managers_import()
