"""Gives tables that were made before they were partitioned the design's layout."""

import frappe

from memora.services import partition_manager


def execute() -> None:
	frappe.db.commit()  # nosemgrep: frappe-manual-commit: DDL on another connection would wait for this one
	partition_manager.ensure_layout()
