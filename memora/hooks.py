app_name = "memora"
app_title = "Memora"
app_publisher = "The Memora developers"
app_description = "The spaced-repetition engine of a school-learning platform"
app_email = "memora@example.com"
app_license = "MIT"
required_apps: list[str] = []

before_install = "memora.install.before_install"
after_install = "memora.install.after_install"
before_uninstall = "memora.uninstall.before_uninstall"
after_uninstall = "memora.uninstall.after_uninstall"
before_migrate = "memora.install.before_migrate"
after_migrate = "memora.install.after_migrate"

before_request = [
	"memora.api.utils.start_clock",
	"memora.api.utils.keep_code_private",
	"memora.api.gate.set_up",
	"memora.api.outages.reach_database",
	"memora.api.arguments.refuse_unknown",
	"memora.api.bodies.drop_name_of_frappe",
]
after_request = ["memora.api.endings.end_request"]

auth_hooks = ["memora.api.generic_doors.watch"]

before_job = ["memora.services.store.limits.limit_job", "memora.memora.personal_data.erase_before_job"]

app_include_js = "memora.bundle.js"
app_include_css = "memora.bundle.css"

doctype_list_js = {
	"Player Memory Tracker": "public/js/bounded_list.js",
	"Player Review Log": "public/js/bounded_list.js",
	"Archived Memory Tracker": "public/js/bounded_list.js",
}
permission_query_conditions = {
	"Player Memory Tracker": "memora.memora.bounded_lists.of_trackers",
	"Player Review Log": "memora.memora.bounded_lists.of_answers",
	"Archived Memory Tracker": "memora.memora.bounded_lists.of_archived",
	"File": "memora.api.data_imports.of_files",
}

doc_events = {
	"User": {
		event: f"memora.memora.user_account.{event}"
		for event in ("before_rename", "after_rename", "on_update", "on_trash")
	},
	"System Settings": {"on_update": "memora.services.operations.job_types.begin_now"},
	"Property Setter": {"validate": "memora.services.store.digits.refuse_precision"},
	"Data Import": {
		"before_validate": "memora.api.data_imports.check",
		"get_preview_from_template": "memora.api.data_imports.check",
	},
	("ToDo", "Comment"): {"before_validate": "memora.memora.pupils_data.leave_rows_alone"},
	"Auto Email Report": {"before_validate": "memora.memora.pupils_data.check_mailed_report"},
	"Prepared Report": {"before_insert": "memora.memora.pupils_data.check_prepared_report"},
	"File": {"before_insert": "memora.memora.pupils_data.keep_prepared_file"},
	"Personal Data Deletion Request": {"validate": "memora.memora.personal_data.erase_in_request"},
	"Personal Data Download Request": {"after_insert": "memora.memora.personal_data.add_export"},
}

override_whitelisted_methods = {
	f"frappe.core.doctype.data_import.data_import.{name}": f"memora.api.data_imports.{name}"
	for name in (
		"get_preview_from_template",
		"form_start_import",
		"download_errored_template",
		"download_import_log",
		"get_import_status",
		"get_import_logs",
	)
}

# Figures of a season: they are deleted with their season
ignore_links_on_delete = [
	*("Daily Activity", "Activity Count", "Daily Learner", "Due Forecast"),
	*("Cache Rebuild", "Cache Reconciliation", "Outdated Schedule"),
]

scheduler_events = {
	"cron": {
		"* * * * *": [
			"memora.services.folding.folds.sweep_outbox",
			"memora.services.cache.incidents.tell",
			"memora.services.cache.outdated.settle_outages",
			"memora.services.cache.settling.renew_claim",
		],
		"*/5 * * * *": ["memora.services.operations.health.watch", "memora.services.figures.activity.sum_up"],
	},
	"hourly": [
		"memora.services.partition_manager.heal_partitions",
		"memora.services.operations.scheduled_jobs.compute_daily_forecast",
		"memora.services.operations.scheduled_jobs.compare_with_source",
		"memora.services.operations.scheduled_jobs.resume_unfinished",
		"memora.services.operations.erasing.resume_unfinished",
		"memora.services.operations.moving_dates.resume_unfinished",
	],
	"daily": [
		"memora.services.operations.exporting.delete_old_files",
		"memora.services.srs_archiver.process_auto_archive",
		"memora.services.srs_reconciliation.reconcile_cache_with_database",
		"memora.services.operations.scheduled_jobs.clear_old_notes",
		"memora.services.anki.clearing.clear_old_imports",
	],
	"weekly": [
		"memora.services.srs_archiver.flag_eligible_for_deletion",
		"memora.services.operations.scheduled_jobs.clear_learners_who_left",
	],
}
