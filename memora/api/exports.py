"""Files of Memora's data hold no formulas.

A spreadsheet runs a text that begins with =, +, - or @, whoever wrote it. Frappe writes texts to its CSV and Excel files as
they are.
"""

import re
from collections.abc import Callable
from io import BytesIO
from zipfile import ZipFile

import frappe
from openpyxl import load_workbook
from werkzeug.wrappers import Request, Response

from memora.services.learning.plain_names import without_formula

# A cell of a CSV file, in quotes or not. {0} is the delimiter
CELL = r'"([^"]*(?:""[^"]*)*)"|([^"\r\n{0}]+)'


def defuse_exports(response: Response | None, request: Request) -> None:
	"""At the end of a request: defuses the formulas of an export of Memora's data, and changes no other reply."""
	defuse = _way_to_defuse()
	if response and defuse and _is_ours():
		response.set_data(defuse(response.get_data()))


def _way_to_defuse() -> Callable[[bytes], bytes] | None:
	name = str(frappe.response.get("filename"))
	if frappe.response.get("type") == "csv" or name.endswith(".csv"):
		return lambda content: defuse_csv(content, str(frappe.form_dict.get("csv_delimiter") or ","))
	return defuse_xlsx if name.endswith(".xlsx") else None


def _is_ours() -> bool:
	"""Says whether the request asks for one of Memora's DocTypes, or for a report on one."""
	asked = frappe.form_dict
	doctype = asked.get("doctype") or frappe.db.get_value("Report", asked.get("report_name"), "ref_doctype")
	return bool(doctype) and frappe.db.get_value("DocType", doctype, "module") == "Memora"


def defuse_csv(content: bytes, delimiter: str = ",") -> bytes:
	"""Returns the file with ' before each text that a spreadsheet would run. An import takes it away again."""
	return re.sub(CELL.format(re.escape(delimiter[0])), _defused, content.decode()).encode()


def _defused(cell: re.Match[str]) -> str:
	if cell[1] is None:
		return without_formula(cell[2])
	return f'"{without_formula(cell[1])}"'


def defuse_xlsx(content: bytes) -> bytes:
	"""Returns the workbook with the same texts, of which none is a formula."""
	if not _has_formulas(content):
		return content
	book = load_workbook(BytesIO(content))
	for cell in (cell for sheet in book for row in sheet for cell in row):
		if cell.data_type == "f":
			cell.data_type, cell.quotePrefix = (
				"s",
				True,
			)  # quotePrefix: it stays a text when somebody edits it
	file = BytesIO()
	book.save(file)
	return file.getvalue()


def _has_formulas(content: bytes) -> bool:
	with ZipFile(BytesIO(content)) as parts:
		sheets = [name for name in parts.namelist() if name.startswith("xl/worksheets/")]
		return any(b"<f>" in parts.read(name) for name in sheets)
