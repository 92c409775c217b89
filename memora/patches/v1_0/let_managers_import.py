"""Sites from before questions could be imported: Memora Managers may use Frappe's Data Import."""

from memora import install


def execute() -> None:
	install.let_managers_import()
