// Titles of forms are texts. Frappe 16 decodes a title and writes it to the form's sidebar as HTML: a question about
// "&lt;img onerror=…&gt;" would run. Escaped once more, it is shown as it was written.

{
	const { get_title } = frappe.ui.form.Form.prototype;
	const escaped = (text) => frappe.utils.escape_html(text);

	frappe.ui.form.Form.prototype.get_title = function () {
		const title = get_title.call(this);
		if (this.meta.module !== "Memora" || !title || title === this.doc.name) return title;
		return escaped(escaped(frappe.utils.html2text(title)));
	};
}
