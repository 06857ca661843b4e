//! Work that no request waits for, kept from making one wait: preparing a reload, telling the log of it, freeing what went.
//!
//! Large work gets threads of the class SCHED_IDLE: they run only while nobody else wants the core, and are put aside the
//! moment somebody does. `nice` alone does not do that: a worker that wakes up may wait for the next tick of the clock, up
//! to 4 ms. Invariant: on a machine that is never idle, what the operator waits for comes nevertheless.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use thread_priority::{
    NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy,
    set_thread_priority_and_policy, thread_native_id,
};
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

/// What `nice` adds for threads that step back.
const STEP_BACK: i32 = 10;
/// For how long work may wait for idle time before it begins again on a thread that takes its turns.
const PATIENCE: Duration = Duration::from_millis(400);
/// Whether something is still used is asked this often.
const LOOK: Duration = Duration::from_secs(1);

/// For threads whose work is small but never urgent: the workers go first.
pub(super) fn step_back() {
    if let Err(error) = rustix::process::nice(STEP_BACK) {
        tracing::debug!(%error, "work in the background competes with requests");
    }
}

/// Has the thread that calls it run only when nobody else wants to. There is no way back.
fn step_aside() {
    let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
    let set = set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, idle);
    if let Err(error) = set {
        tracing::debug!(?error, "no class SCHED_IDLE");
        step_back();
    }
}

/// Does `work` in idle time. If there is too little of that, does it twice at once, the second time as an equal of the
/// workers, and takes what is ready first; so `work` must not change anything. `None` when it panicked or there is no
/// thread to be had.
pub(super) async fn unhurried<T: Send + 'static>(
    work: impl Fn() -> T + Clone + Send + 'static,
) -> Option<T> {
    let mut idle = begin("reload", step_aside, work.clone());
    if let Ok(done) = timeout(PATIENCE, &mut idle).await {
        return done.ok();
    }
    // Not niced: among many that want the core, a tenth of a share is seconds.
    let hurried = begin("reload-now", || {}, work);
    tokio::select! {
        Ok(done) = idle => Some(done),
        Ok(done) = hurried => Some(done),
        else => None,
    }
}

/// Does `work` some time, in idle time.
pub(super) fn sometime(work: impl FnOnce() + Send + 'static) {
    // Nobody waits for it.
    drop(begin("background", step_aside, work));
}

/// Frees something large in idle time.
pub(super) fn discard<T: Send + 'static>(thing: T) {
    sometime(move || drop(thing));
}

/// Keeps what requests may still use until they are done with it, so that none of them has to free it.
pub(super) fn retire<T: Send + Sync + 'static>(thing: Arc<T>) {
    // Ends with the process, if requests last that long.
    drop(tokio::spawn(async move {
        while Arc::strong_count(&thing) > 1 {
            sleep(LOOK).await;
        }
        discard(thing);
    }));
}

/// What `work` gives, from a thread of its own; an error when it panicked or did not begin.
fn begin<T: Send + 'static>(
    name: &str,
    first: fn(),
    work: impl FnOnce() -> T + Send + 'static,
) -> oneshot::Receiver<T> {
    let (done, waiting) = oneshot::channel();
    let begun = thread::Builder::new().name(name.to_owned()).spawn(move || {
        first();
        // Perhaps nobody waits for it any more.
        drop(done.send(work()));
    });
    if let Err(error) = begun {
        tracing::error!(%error, "no thread for work in the background");
    }
    waiting
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn work_that_finds_no_idle_time_is_done_again_by_a_thread_that_takes_its_turns() {
        let (release, blocked) = mpsc::channel::<()>();
        let blocked = Arc::new(std::sync::Mutex::new(blocked));
        let begun = Arc::new(AtomicUsize::new(0));
        let count = begun.clone();
        let done = unhurried(move || match count.fetch_add(1, Ordering::Relaxed) {
            0 => {
                assert!(blocked.lock().unwrap().recv().is_err());
                "idle"
            }
            _ => "hurried",
        });
        assert_eq!(done.await, Some("hurried"));
        assert_eq!(begun.load(Ordering::Relaxed), 2);
        drop(release);
    }

    #[tokio::test]
    async fn what_is_retired_goes_only_after_its_last_user() {
        let thing = Arc::new(());
        let (weak, used) = (Arc::downgrade(&thing), thing.clone());
        retire(thing);
        tokio::task::yield_now().await;
        assert!(weak.upgrade().is_some());
        drop(used);
        let gone = async {
            while weak.strong_count() > 0 {
                sleep(Duration::from_millis(10)).await;
            }
        };
        assert!(timeout(Duration::from_secs(10), gone).await.is_ok());
    }

    #[test]
    fn a_thread_that_steps_aside_is_of_the_idle_class() {
        let policy = std::thread::spawn(|| {
            step_aside();
            thread_priority::thread_schedule_policy()
        });
        let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
        assert_eq!(policy.join().unwrap().ok(), Some(idle));
    }
}
