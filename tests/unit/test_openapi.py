"""docs/openapi.json is what the code says."""

import frappe
import pytest
from openapi_spec_validator import validate

from memora.api import openapi
from memora.exceptions import MemoraError
from tests.integration import contract
from tests.integration.submitting import answers, as_sent
from tests.integration.test_bodies import BAD_RESPONSES

ENDPOINTS = openapi.find_endpoints()


def test_the_committed_file_is_what_the_code_says():
	assert openapi.committed().read_text() == openapi.dumps(), f"please run `{openapi.COMMAND}` and commit"


def test_it_is_openapi():
	validate(contract.DOCUMENT)


def test_every_method_has_an_id_of_its_own():
	operations = [o for item in contract.DOCUMENT["paths"].values() for o in item.values()]
	assert len({o["operationId"] for o in operations}) == len(operations) > len(ENDPOINTS)


@pytest.mark.parametrize("path", ENDPOINTS)
def test_docstrings_name_errors_by_their_status(path):
	for error, status in openapi.named_errors(ENDPOINTS[path]):
		assert error.http_status_code == status, error
		assert issubclass(error, MemoraError | frappe.PermissionError)


@pytest.mark.parametrize("text", ["NoSuchError 400", "InvalidLimit", "Any 400"])
def test_a_docstring_that_names_no_error(text):
	def endpoint():
		pass

	endpoint.__doc__ = f"Does it.\n\nErrors: {text}."
	with pytest.raises(ValueError, match=text.split()[0]):
		openapi.named_errors(endpoint)


@pytest.mark.parametrize("name", sorted(BAD_RESPONSES.keys() - {"duplicate"}))
def test_answers_that_are_refused_are_not_in_the_document(name):
	path = "/api/method/memora.api.reviews.submit_review_session"
	body = contract.DOCUMENT["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
	assert contract.errors(body, {"responses": as_sent(answers(2))}) == []
	assert contract.errors(body, {"responses": BAD_RESPONSES[name]})
