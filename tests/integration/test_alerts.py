"""What managers are told is shown as text, whatever it quotes."""

import frappe
import pytest

from memora.services import alerts
from tests.integration import state
from tests.integration.factories import make_learner

TOLD = "Can't fold <img src=x onerror=a()>: 1 < 2 & so on"
AS_HTML = "Can't fold &lt;img src=x onerror=a()&gt;: 1 &lt; 2 &amp; so on"


@pytest.fixture
def mails(monkeypatch) -> list[dict]:
	sent: list[dict] = []
	exists = frappe.db.exists
	monkeypatch.setattr(frappe, "sendmail", lambda **mail: sent.append(mail))
	monkeypatch.setattr(
		frappe.db, "exists", lambda doctype, *a, **k: doctype == "Email Account" or exists(doctype, *a, **k)
	)
	return sent


def test_what_managers_are_told_is_text(mails):
	manager = make_learner(["Memora Manager"]).user
	alerts.tell_managers(TOLD, TOLD, by_mail=True)
	(note,) = state.rows("Notification Log", for_user=manager)
	assert (note.subject, note.email_content) == (AS_HTML, AS_HTML)
	assert [(mail["subject"], mail["message"]) for mail in mails] == [(TOLD, AS_HTML)]
	(log,) = state.rows("Error Log")
	assert log.error.startswith(TOLD)  # a field of code, which is shown as text
