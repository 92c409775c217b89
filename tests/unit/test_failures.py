"""What an error of MariaDB means, whichever driver raises it, and if Frappe has put it into one of its own."""

import frappe
import pytest

from memora.services.store import failures

DRIVERS = pytest.mark.parametrize("driver", failures.DRIVERS, ids=lambda driver: driver.__name__)
AGAIN = [1020, 1205, 1213, 1412, 1615]
LATER = [3, 1021, 1026, 1040, 1047, 1053, 1114, 1180, 1203, 1290, 1317, 1792, 1836, 1927, 1969]
LOST = [2002, 2003, 2006, 2013, 2026, 2055, 5014]
# A constraint, a value, a column, a table, a partition, a key, the rights of the site's user
NEVER = [1048, 1054, 1062, 1064, 1142, 1146, 1264, 1366, 1406, 1526, 4025]


@DRIVERS
@pytest.mark.parametrize("number", AGAIN)
def test_another_transaction_was_in_the_way(driver, number):
	error = driver.OperationalError(number, "text")
	assert failures.is_in_the_way(error)
	assert failures.may_pass(error)
	assert not failures.is_lost(error)


@DRIVERS
@pytest.mark.parametrize("number", LATER)
def test_waiting_may_help(driver, number):
	error = driver.OperationalError(number, "text")
	assert failures.may_pass(error)
	assert not failures.is_in_the_way(error)
	assert not failures.is_lost(error)


@DRIVERS
@pytest.mark.parametrize("number", LOST)
def test_the_connection_is_lost(driver, number):
	error = driver.OperationalError(number, "text")
	assert failures.is_lost(error)
	assert failures.may_pass(error)
	assert not failures.is_in_the_way(error)


@DRIVERS
def test_a_connection_that_was_closed_or_is_out_of_step_is_lost(driver):
	"""As PyMySQL says it: without a number, or with a text in its place."""
	assert failures.is_lost(driver.InterfaceError(0, ""))
	assert failures.is_lost(driver.InternalError("Packet sequence number wrong - got 1 expected 2"))
	assert not failures.is_lost(driver.ProgrammingError("inf can not be used with MySQL"))


@DRIVERS
@pytest.mark.parametrize("number", NEVER)
@pytest.mark.parametrize("name", ["OperationalError", "DataError", "IntegrityError", "ProgrammingError"])
def test_trying_again_does_not_help(driver, number, name):
	error = getattr(driver, name)(number, "text")
	assert failures.number_of(error) == number
	assert not failures.may_pass(error)
	assert isinstance(error, failures.ERRORS)


@DRIVERS
def test_errors_that_frappe_raises_in_place_of_the_drivers(driver):
	deadlock = frappe.QueryDeadlockError(driver.OperationalError(1213, "text"))
	timeout = frappe.QueryTimeoutError(driver.OperationalError(1205, "text"))
	assert [failures.number_of(error) for error in (deadlock, timeout)] == [1213, 1205]
	assert failures.is_in_the_way(deadlock)
	assert failures.is_in_the_way(timeout)
	assert failures.is_in_the_way(frappe.QueryTimeoutError("the document is locked"))
	read_only = frappe.InReadOnlyMode("Site is running in read only mode")
	assert failures.number_of(read_only) == 1792
	assert failures.may_pass(read_only)
	assert not failures.is_in_the_way(read_only)


@pytest.mark.parametrize(
	"error", [ValueError(2013), frappe.ValidationError("x"), RuntimeError(), OSError(1040, "x")]
)
def test_errors_of_others_are_not_mariadbs(error):
	assert not isinstance(error, failures.ERRORS)
	assert not failures.may_pass(error)
	assert not failures.is_lost(error)


def test_the_driver_that_frappe_uses_is_among_those_installed():
	assert "pymysql" in {driver.__name__ for driver in failures.DRIVERS}


KINDS = {
	failures.has_changed: {1020},
	failures.is_read_only: {1290, 1792, 1836},
	failures.is_refused: {1235, 1305},
}


@DRIVERS
@pytest.mark.parametrize("is_of_kind", KINDS, ids=lambda kind: kind.__name__)
def test_what_a_number_means_an_error_means_that_has_it(driver, is_of_kind):
	numbers = {*AGAIN, *LATER, *LOST, *NEVER, 1235, 1305}
	errors = {number: driver.OperationalError(number, "text") for number in numbers}
	assert {number for number, error in errors.items() if is_of_kind(error)} == KINDS[is_of_kind]
	assert not any(is_of_kind(OSError(number, "text")) for number in numbers)


@DRIVERS
def test_an_error_may_have_no_number(driver):
	errors = [
		driver.Error(),
		driver.Error("2013", 2013),
		driver.Error(driver.Error()),
		frappe.ValidationError(),
	]
	assert [failures.number_of(error) for error in errors] == [0] * 4
	assert failures.number_of(driver.Error(driver.OperationalError(1040, 1041))) == 1040
	assert failures.may_pass(driver.OperationalError(999, "text"))
	assert not failures.may_pass(driver.OperationalError(1000, "text"))
