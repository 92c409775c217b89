"""What exports hold that a spreadsheet would run, and what it would not."""

from io import BytesIO

import pytest
from openpyxl import Workbook, load_workbook

from memora.api.exports import defuse_csv, defuse_xlsx
from memora.services.learning.plain_names import with_formula, without_formula, without_tags

FORMULAS = ["=1+1", "-5 + 3 = ?", "+x", "@SUM(1)", " =1", "\t-a", "= means equal", "-"]
HARMLESS = ["", "a = b", "-5", "+4.2", "-1,234.5", "-3e-7", "-20 %", "'quoted'", "5 - 3", "سؤال"]


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_is_marked_and_comes_back_as_it_was(text):
	assert without_formula(text) == f"'{text}"
	assert with_formula(f"'{text}") == text


@pytest.mark.parametrize("text", HARMLESS)
def test_other_texts_and_numbers_stay(text):
	assert without_formula(text) == with_formula(text) == text


@pytest.mark.parametrize(
	("content", "defused"),
	[
		('"Sr","Text"\r\n1,"=1+1"\r\n', '"Sr","Text"\r\n1,"\'=1+1"\r\n'),
		("a,=1,-5,-x\r\n@b,c", "a,'=1,-5,'-x\r\n'@b,c"),
		('"a ""=1"",\n=2",b', '"a ""=1"",\n=2",b'),  # one cell
		('"=""x"""', '"\'=""x"""'),
		(",,\r\n,=1", ",,\r\n,'=1"),
	],
)
def test_cells_of_a_csv_file(content, defused):
	assert defuse_csv(content.encode()).decode() == defused


def test_another_delimiter():
	assert defuse_csv(b"a,=1;=2,3", ";") == b"a,=1;'=2,3"


def test_formulas_of_a_workbook_become_texts():
	book = Workbook()
	book.active.append(["=1+1", "-5", -5, "a"])
	file = BytesIO()
	book.save(file)
	(row,) = load_workbook(BytesIO(defuse_xlsx(file.getvalue()))).active
	assert [(cell.value, cell.data_type) for cell in row] == [
		("=1+1", "s"),
		("-5", "s"),
		(-5, "n"),
		("a", "s"),
	]


def test_a_workbook_without_formulas_stays():
	book = Workbook()
	book.active.append(["a", 1])
	file = BytesIO()
	book.save(file)
	assert defuse_xlsx(file.getvalue()) == file.getvalue()


@pytest.mark.parametrize("text", ["a < b", "a <= b", "1<2", "x < y > z", "<3", "a <", "<"])
def test_what_is_no_tag_stays(text):
	assert without_tags(text) == text


@pytest.mark.parametrize("text", ["<img src=x>", "a</b>", "<!-- a -->", "<?x", "a<b"])
def test_tags_become_text(text):
	assert without_tags(text) == text.replace("<", "‹")
