// What every desk page loads. `bench build` gives the bundle a name with a digest, so no browser keeps an old one.
import "./safe_mode_banner";
import "./report_charts";
import "./form_titles";
import "./memory";
import "./moved_dates";
