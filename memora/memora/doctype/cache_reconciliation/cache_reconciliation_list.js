// For list and form: the share is small. `precision` in the DocType would be the column's scale on Frappe 16.
frappe.meta.get_docfield("Cache Reconciliation", "discrepancy_rate").precision = 6;
