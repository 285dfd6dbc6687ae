//! Models: the library's own code, shuttled through under thousands of schedules. A scheduler (shuttle's) runs the threads
//! of a model as coroutines of one thread and decides at every lock, condition, atomic and poll who goes on. Time stands
//! still: whoever waits must be woken, or the model ends as a deadlock. A schedule that fails is printed with its seed.
//!
//! Outside of a model the same types do what they do in the shipped library. Orderings of atomics weaker than
//! sequentially consistent are not told apart.

pub(crate) mod atomic;
pub(crate) mod poll;
pub(crate) mod thread;

use crate::process::PerProcess;
use shuttle::{
    Config, FailurePersistence, MaxSteps, Runner,
    scheduler::{PctScheduler, RandomScheduler, Scheduler},
    sync as shuttled,
};
use std::{
    any::Any,
    cell::{Cell, RefCell},
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

/// Which thread of a model this is; `None` outside of models.
pub(crate) fn task() -> Option<usize> {
    IS_ON.get().then(|| shuttle::current::me().into())
}

pub(crate) fn is_on() -> bool {
    IS_ON.get()
}

/// Plays a model through, under LOSANT_MODEL_RUNS (500) random schedules and as many of another kind. The body must end
/// all threads that it starts. To see a failure again: SHUTTLE_RANDOM_SEED.
pub(crate) fn check(body: impl Fn() + Send + Sync + 'static) {
    let runs = std::env::var("LOSANT_MODEL_RUNS").ok().and_then(|text| text.parse().ok()).unwrap_or(500);
    let body = Arc::new(body);
    play(RandomScheduler::new(runs), body.clone());
    // Few switches, at the worst moments, find what random ones seldom do.
    play(PctScheduler::new(3, runs), body);
}

fn play(scheduler: impl Scheduler + 'static, body: Arc<impl Fn() + Send + Sync + 'static>) {
    let mut config = Config::new();
    config.stack_size = 256 * 1024;
    config.silence_warnings = true;
    // The seed tells it all in one line.
    config.failure_persistence = FailurePersistence::None;
    config.max_steps = MaxSteps::FailAfter(20_000);
    let _off = Off;
    Runner::new(scheduler, config).run(move || {
        RUN.set(ModelRun::default());
        IS_ON.set(true);
        body();
        IS_ON.set(false);
    });
}

/// Ends the model, also when it has failed.
struct Off;

impl Drop for Off {
    fn drop(&mut self) {
        IS_ON.set(false);
    }
}

/// What belongs to one run of a model.
#[derive(Default)]
struct ModelRun {
    polls: Arc<poll::Wakes>,
    statics: BTreeMap<usize, &'static dyn Any>,
    /// Thread-locals.
    counts: BTreeMap<(usize, usize), usize>,
    /// The library's own threads, by the place of each: whether it has ended.
    threads: Vec<Arc<std::sync::atomic::AtomicBool>>,
}

thread_local! {
    static IS_ON: Cell<bool> = const { Cell::new(false) };
    static RUN: RefCell<ModelRun> = RefCell::default();
}

/// The value of a static in this run of a model; none outside of models. It is leaked, as statics are.
pub(crate) fn of_this_run<T: Default>(place: &PerProcess<T>) -> Option<&'static T> {
    task()?;
    let address = std::ptr::from_ref(place) as usize;
    let found = RUN.with_borrow(|run| run.statics.get(&address).copied());
    let value = found.unwrap_or_else(|| {
        let new: &'static dyn Any = Box::leak(Box::new(T::default()));
        RUN.with_borrow_mut(|run| run.statics.insert(address, new));
        new
    });
    value.downcast_ref()
}

/// What orders the threads of a model at a lock.
#[derive(Debug, Default)]
pub(crate) struct SchedulePoint(shuttled::Mutex<()>);

pub(crate) struct SchedulePointGuard<'a>(Option<shuttled::MutexGuard<'a, ()>>);

impl SchedulePoint {
    pub const fn new() -> Self {
        SchedulePoint(shuttled::Mutex::new(()))
    }

    pub fn take(&self) -> SchedulePointGuard<'_> {
        SchedulePointGuard(is_on().then(|| self.0.lock().unwrap_or_else(|e| e.into_inner())))
    }
}

impl SchedulePointGuard<'_> {
    pub fn is_model(&self) -> bool {
        self.0.is_some()
    }
}

#[derive(Debug, Default)]
pub(crate) struct Condition(shuttled::Condvar);

impl Condition {
    pub const fn new() -> Self {
        Condition(shuttled::Condvar::new())
    }

    /// Whether the time was over, which it only is from the beginning.
    pub fn wait(&self, point: &mut SchedulePointGuard<'_>, timeout: Option<Duration>) -> bool {
        let Some(guard) = point.0.take() else { return false };
        if timeout == Some(Duration::ZERO) {
            point.0 = Some(guard);
            return true;
        }
        point.0 = Some(self.0.wait(guard).unwrap_or_else(|e| e.into_inner()));
        false
    }

    pub fn notify_all(&self) {
        if is_on() {
            self.0.notify_all();
        }
    }
}

/// A time that never comes in a model.
pub(crate) fn never(now: Instant) -> Instant {
    now + Duration::from_secs(1_000_000)
}
