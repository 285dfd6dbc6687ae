//! Who is told of events.

use crate::{
    callback::{self, Forked, in_callback},
    event::{Event, EventType},
    status::{Error, Status::*},
    sync::{
        Condvar, Mutex, Rank, Ranked,
        thread::{self, ThreadId},
    },
};
use std::{mem, sync::Arc};

/// An observer's code.
pub(crate) type Observer = dyn Fn(&Event) + Send + Sync;

/// Names an observer for its removal, [`crate::Device::remove_observer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ObserverId(u64);

impl ObserverId {
    /// No observer's.
    pub(crate) const NONE: ObserverId = ObserverId(0);
}

/// What C calls an observer: the addresses that it was added with. Never followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tag {
    pub callback: usize,
    pub user_data: usize,
}

struct Entry {
    id: ObserverId,
    event: EventType,
    tag: Option<Tag>,
    observer: Arc<Observer>,
}

#[derive(Default)]
struct List {
    entries: Vec<Entry>,
    last_id: u64,
    /// The callback that runs now, and where. One at a time: only the thread that runs the loop calls.
    running: Option<(ObserverId, ThreadId)>,
    /// No callback starts any more.
    closed: bool,
}

impl Ranked for List {
    const RANK: Rank = Rank::Observers;
}

impl List {
    /// Whether this callback, or any if none is named, runs on another thread.
    fn runs_elsewhere(&self, id: Option<ObserverId>) -> bool {
        let here = thread::here();
        self.running.is_some_and(|(running, thread)| thread != here && id.is_none_or(|id| id == running))
    }
}

#[derive(Default)]
pub(crate) struct Observers {
    list: Mutex<List>,
    /// Signalled when a callback has returned.
    returned: Condvar,
}

impl Observers {
    /// Adds an observer; hands it back if none is called any more.
    pub fn add(
        &self,
        event: EventType,
        tag: Option<Tag>,
        observer: Arc<Observer>,
    ) -> Result<ObserverId, Arc<Observer>> {
        let mut list = self.list.lock();
        if list.closed {
            return Err(observer);
        }
        list.last_id += 1;
        let id = ObserverId(list.last_id);
        list.entries.push(Entry { id, event, tag, observer });
        Ok(id)
    }

    /// Whether anybody would hear of an event of this type.
    pub fn listen_for(&self, event: EventType) -> bool {
        self.list.lock().entries.iter().any(|entry| entry.event == event)
    }

    /// Removes the observer with this id; see [`Self::remove`].
    pub fn remove_id(&self, id: ObserverId) -> Result<(), Error> {
        self.remove(|entry| entry.id == id)
    }

    /// Removes the first observer that C added with these arguments; see [`Self::remove`].
    pub fn remove_tagged(&self, event: EventType, tag: Tag) -> Result<(), Error> {
        self.remove(|entry| entry.event == event && entry.tag == Some(tag))
    }

    /// Removes an observer. Afterwards its callback does not run on another thread: where it does now, waits for it;
    /// inside a callback, where waiting could be for ever, answers `LOSANT_ERR_BUSY` instead. Removed it is either way.
    fn remove(&self, wanted: impl Fn(&Entry) -> bool) -> Result<(), Error> {
        let mut list = self.list.lock();
        let Some(at) = list.entries.iter().position(wanted) else {
            return Err(Error::new(LOSANT_ERR_NO_SUCH_OBSERVER, "no such observer: never added, or removed already"));
        };
        let Entry { id, observer, .. } = list.entries.remove(at);
        while list.runs_elsewhere(Some(id)) && !in_callback() {
            self.returned.wait(&mut list);
        }
        let still_runs = list.runs_elsewhere(Some(id));
        drop(list);
        // The host's code hangs on it, if this is the last that holds it.
        callback::run(|| drop(observer))?;
        if still_runs {
            let why = "observer removed, but its callback still runs on another thread";
            return Err(Error::new(LOSANT_ERR_BUSY, why));
        }
        Ok(())
    }

    /// Removes all for good. Afterwards no callback starts; and, unless this is itself inside a callback, none runs on
    /// another thread.
    pub fn close(&self) -> Result<(), Forked> {
        let mut list = self.list.lock();
        list.closed = true;
        let entries = mem::take(&mut list.entries);
        while list.runs_elsewhere(None) && !in_callback() {
            self.returned.wait(&mut list);
        }
        drop(list);
        callback::run(|| drop(entries))
    }

    /// Whether a callback runs or may begin at any moment.
    pub fn may_run(&self) -> bool {
        let list = self.list.lock();
        !list.closed || list.running.is_some()
    }

    /// Calls the observers of this event in the order they were added; one removed meanwhile is left out.
    pub fn dispatch(&self, event: &Event) -> Result<(), Forked> {
        let kind = event.event_type();
        let ids: Vec<ObserverId> = {
            let list = self.list.lock();
            list.entries.iter().filter(|entry| entry.event == kind).map(|entry| entry.id).collect()
        };
        for id in ids {
            if let Some(running) = self.begin(id) {
                running.call(event)?;
            }
        }
        Ok(())
    }

    /// Marks a callback as running, if it is still to be called.
    fn begin(&self, id: ObserverId) -> Option<Running<'_>> {
        let mut list = self.list.lock();
        // After the close there is none.
        let observer = list.entries.iter().find(|entry| entry.id == id)?.observer.clone();
        list.running = Some((id, thread::here()));
        Some(Running { observers: self, observer: Some(observer) })
    }
}

/// A callback that runs; its end is marked also when it panics.
struct Running<'a> {
    observers: &'a Observers,
    observer: Option<Arc<Observer>>,
}

impl Running<'_> {
    fn call(mut self, event: &Event) -> Result<(), Forked> {
        let Some(observer) = self.observer.take() else { return Ok(()) };
        let called = match callback::call(|| observer(event)) {
            // Where it was removed meanwhile this is its end. The host's code hangs on it, and whoever waits for the
            // callback waits for that too.
            Ok(()) => callback::call(|| drop(observer)),
            Err(forked) => {
                mem::forget(observer);
                Err(forked)
            }
        };
        if called.is_err() {
            // Whoever waits for the callback is the parent's.
            mem::forget(self);
        }
        called
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.observers.list.lock().running = None;
        self.observers.returned.notify_all();
    }
}
