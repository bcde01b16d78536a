//! What is logged, as text.

use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Everything that `work` logs, at any level.
pub(crate) fn of(work: impl FnOnce()) -> String {
    let lines = Arc::new(Mutex::new(String::new()));
    tracing::subscriber::with_default(Lines(Arc::clone(&lines)), work);
    let lines = lines.lock().unwrap();
    lines.clone()
}

struct Lines(Arc<Mutex<String>>);

struct Fields<'a>(&'a mut String);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, " {field}={value:?}").unwrap();
    }
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("lacre")
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        span.record(&mut Fields(&mut self.0.lock().unwrap()));
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        values.record(&mut Fields(&mut self.0.lock().unwrap()));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut lines = self.0.lock().unwrap();
        write!(lines, "\n{}", event.metadata().target()).unwrap();
        event.record(&mut Fields(&mut lines));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
