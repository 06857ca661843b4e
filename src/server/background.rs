//! Work that no request waits for, kept from making one wait: telling the log of a large reload, freeing what went.
//!
//! It is done by the runtime's threads for blocking work, which step back: the workers go first. Threads of the class
//! SCHED_IDLE were tried and made requests wait longer, not shorter (docs/performance.md).

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

/// What `nice` adds for threads that step back.
const STEP_BACK: i32 = 10;
/// Whether something is still used is asked this often.
const LOOK: Duration = Duration::from_secs(1);

/// Has the workers go before the thread that calls it.
pub(super) fn step_back() {
    if let Err(error) = rustix::process::nice(STEP_BACK) {
        tracing::debug!(%error, "work in the background competes with requests");
    }
}

/// Does `work` some time.
pub(super) fn sometime(work: impl FnOnce() + Send + 'static) {
    // Nobody waits for it.
    drop(tokio::task::spawn_blocking(work));
}

/// Frees something large some time.
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

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

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
}
