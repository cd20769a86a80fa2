//! Where a card's time went.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::device::DeviceError;
use super::handles::{Event, Stream};

/// Marks in a stream, and the seconds between those that are over.
#[derive(Default)]
pub(super) struct Times {
    last: Option<Event>,
    to_come: VecDeque<(String, Event)>,
    seconds: BTreeMap<String, f64>,
}

impl Times {
    /// What was done since the last mark was `part`.
    pub(super) fn mark(&mut self, part: &str, stream: &Arc<Stream>) -> Result<(), DeviceError> {
        self.to_come
            .push_back((part.to_owned(), Event::now(stream)?));
        self.settle();
        Ok(())
    }

    fn settle(&mut self) {
        while let Some((part, event)) = self.next_over() {
            if let Some(last) = &self.last {
                *self.seconds.entry(part).or_default() += event.since(last);
            }
            self.last = Some(event);
        }
    }

    fn next_over(&mut self) -> Option<(String, Event)> {
        let is_over = self
            .to_come
            .front()
            .is_some_and(|(_, event)| event.is_over());
        if is_over {
            self.to_come.pop_front()
        } else {
            None
        }
    }

    /// Seconds of each part so far.
    pub(super) fn seconds(&mut self) -> BTreeMap<String, f64> {
        self.settle();
        self.seconds.clone()
    }
}
