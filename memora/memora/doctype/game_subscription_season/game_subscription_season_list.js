frappe.listview_settings["Game Subscription Season"] = {
	add_fields: [
		"is_active",
		"start_date",
		"end_date",
		"partition_created",
		"archive_started_at",
		"archive_step",
		"archived_at",
	],
	hide_name_column: true,

	// Frappe shows this beside the title of the form, too
	get_indicator(doc) {
		const today = frappe.datetime.get_today();
		if (doc.archived_at) return [__("Archived", null, "Memora"), "gray", "archived_at,is,set"];
		if (doc.archive_started_at) {
			const filter = "archive_started_at,is,set|archived_at,is,not set";
			return doc.archive_step ? [__("Archiving"), "blue", filter] : [__("Archiving Stopped"), "red", filter];
		}
		if (!doc.partition_created) return [__("Partitions Missing"), "red", "partition_created,=,0"];
		if (doc.is_active) {
			if (doc.end_date < today) return [__("Active, Past Its End"), "orange", "is_active,=,1"];
			return [__("Active"), "green", "is_active,=,1"];
		}
		if (doc.end_date < today) return [__("Ended"), "orange", `end_date,<,${today}|archived_at,is,not set`];
		if (doc.start_date > today) return [__("Upcoming"), "light-blue", `start_date,>,${today}`];
		return [__("Not Active"), "gray", "is_active,=,0"];
	},
};
