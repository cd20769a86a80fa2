use std::io::Write;

use cpipe_engine::event::{Event, EventSink};

/// One JSON object per line on stdout; the last is `run_finished`.
pub(crate) struct JsonLines;

impl EventSink for JsonLines {
    fn event(&self, event: &Event<'_>) {
        let mut line = serde_json::to_vec(event).expect("events are plain data");
        line.push(b'\n');
        // A reader that has gone away must not stop the run.
        let _ = std::io::stdout().write_all(&line);
    }
}
