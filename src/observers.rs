//! Who is told of events. User code runs here, with no lock held.

use crate::{
    device::Device,
    event::{Event, EventType},
    process::ProcessId,
    status::{Error, Status::*},
    sync::{
        Condvar, Mutex, Rank, Ranked, check_unlocked,
        thread::{self, ThreadId},
    },
};
use std::{cell::Cell, sync::Arc};

/// An observer's code.
pub type Callback = dyn Fn(&Device, &Event) + Send + Sync;

/// Names an observer for its removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ObserverId(u64);

impl ObserverId {
    /// No observer's.
    pub(crate) const NONE: ObserverId = ObserverId(0);
}

struct Observer {
    id: ObserverId,
    event: EventType,
    callback: Arc<Callback>,
}

#[derive(Default)]
struct List {
    observers: Vec<Observer>,
    last_id: u64,
    /// The callback that runs now, and where. One at a time: only the thread that turns the loop calls.
    running: Option<(ObserverId, ThreadId)>,
    /// No callback starts any more.
    closed: bool,
}

impl Ranked for List {
    const RANK: Rank = Rank::Observers;
}

#[derive(Default)]
pub(crate) struct Observers {
    list: Mutex<List>,
    /// Signalled when a callback has returned.
    returned: Condvar,
}

thread_local! {
    static CALLBACKS_HERE: Cell<usize> = const { Cell::new(0) };
}

/// Whether this thread is inside a callback of any device, or in the log callback.
pub(crate) fn in_callback() -> bool {
    thread::get(&CALLBACKS_HERE) > 0
}

/// Goes with a callback that is running.
pub(crate) struct InCallback;

impl InCallback {
    pub fn begin() -> Self {
        thread::set(&CALLBACKS_HERE, thread::get(&CALLBACKS_HERE) + 1);
        InCallback
    }
}

impl Drop for InCallback {
    fn drop(&mut self) {
        thread::set(&CALLBACKS_HERE, thread::get(&CALLBACKS_HERE) - 1);
    }
}

impl Observers {
    /// Adds an observer; hands the callback back if none is called any more.
    pub fn add(&self, event: EventType, callback: Arc<Callback>) -> Result<ObserverId, Arc<Callback>> {
        let mut list = self.list.lock();
        if list.closed {
            return Err(callback);
        }
        list.last_id += 1;
        let id = ObserverId(list.last_id);
        list.observers.push(Observer { id, event, callback });
        Ok(id)
    }

    /// Removes an observer. Afterwards its callback does not run on another thread: where it does now, waits for it;
    /// inside a callback, where waiting could be for ever, answers `LOSANT_ERR_BUSY` instead. Removed it is either way.
    pub fn remove(&self, id: ObserverId) -> Result<(), Error> {
        let mut list = self.list.lock();
        let Some(at) = list.observers.iter().position(|observer| observer.id == id) else {
            return Err(Error::new(LOSANT_ERR_NO_SUCH_OBSERVER, "no such observer: never added, or removed already"));
        };
        let observer = list.observers.remove(at);
        let here = thread::here();
        while matches!(list.running, Some((running, thread)) if running == id && thread != here) {
            if in_callback() {
                drop(list);
                // Perhaps the last that holds the callback, if that returns at this very moment.
                drop(observer);
                return Err(Error::new(
                    LOSANT_ERR_BUSY,
                    "observer removed, but its callback still runs on another thread",
                ));
            }
            self.returned.wait(&mut list);
        }
        drop(list);
        // User code hangs on the callback's destructor, so it runs without the lock.
        drop(observer);
        Ok(())
    }

    /// Removes all for good. Afterwards no callback starts; and, unless this is itself inside a callback, none runs on
    /// another thread.
    pub fn close(&self) {
        let mut list = self.list.lock();
        list.closed = true;
        let observers = std::mem::take(&mut list.observers);
        let here = thread::here();
        while !in_callback() && matches!(list.running, Some((_, thread)) if thread != here) {
            self.returned.wait(&mut list);
        }
        drop(list);
        drop(observers);
    }

    /// Whether a callback runs or may begin at any moment.
    pub fn may_run(&self) -> bool {
        let list = self.list.lock();
        !list.closed || list.running.is_some()
    }

    /// Calls the observers of this event in the order they were added; one removed meanwhile is left out.
    pub fn dispatch(&self, device: &Device, event: &Event) {
        let ids: Vec<ObserverId> = {
            let list = self.list.lock();
            list.observers.iter().filter(|o| o.event == event.event_type()).map(|o| o.id).collect()
        };
        for id in ids {
            let process = ProcessId::current();
            let running = {
                let mut list = self.list.lock();
                if list.closed {
                    return;
                }
                let Some(callback) = list.observers.iter().find(|o| o.id == id).map(|o| o.callback.clone()) else {
                    continue;
                };
                list.running = Some((id, thread::here()));
                Running::begin(self, callback)
            };
            running.call(device, event);
            drop(running);
            if process.is_past() {
                // A child that has come back from the callback; the others are its parent's affair.
                return;
            }
        }
    }
}

/// A callback that runs; its end is marked also when it panics.
struct Running<'a> {
    observers: &'a Observers,
    callback: Option<Arc<Callback>>,
    inside: Option<InCallback>,
    process: ProcessId,
}

impl<'a> Running<'a> {
    fn begin(observers: &'a Observers, callback: Arc<Callback>) -> Self {
        let inside = Some(InCallback::begin());
        Running { observers, callback: Some(callback), inside, process: ProcessId::current() }
    }

    fn call(&self, device: &Device, event: &Event) {
        check_unlocked();
        if let Some(callback) = &self.callback {
            callback(device, event);
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if self.process.is_past() {
            // The callback is the parent's, and so is whatever waits for it.
            std::mem::forget(self.callback.take());
        }
        // If it was removed meanwhile, this is its end. User code hangs on it, which whoever waits for the callback waits
        // for too.
        self.callback = None;
        self.inside = None;
        if self.process.is_past() {
            return;
        }
        self.observers.list.lock().running = None;
        self.observers.returned.notify_all();
    }
}
