app_name = "memora"
app_title = "Memora"
app_publisher = "The Memora developers"
app_description = "The spaced-repetition engine of a school-learning platform"
app_email = "memora@example.com"
app_license = "MIT"
required_apps = []

after_install = "memora.install.after_install"
after_migrate = "memora.install.after_migrate"

after_request = ["memora.api.utils.set_retry_after"]

scheduler_events = {
	"cron": {
		"* * * * *": ["memora.services.srs_persistence.sweep_outbox"],
	},
}
