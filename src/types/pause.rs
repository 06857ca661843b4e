//! Where long work can be interrupted: between two of many sites, say.
//!
//! Pure code calls [`pause`] there and knows nothing else; a thread whose work others go before says once, by [`pauses`],
//! what it does then. Invariant: on every other thread a pause is nothing.

use std::cell::Cell;

thread_local! {
    static HOW: Cell<Option<fn()>> = const { Cell::new(None) };
}

/// Has this thread do `how` wherever its work can be interrupted.
pub fn pauses(how: fn()) {
    HOW.set(Some(how));
}

/// A place where work can be interrupted. Costs nothing to speak of.
pub fn pause() {
    if let Some(how) = HOW.get() {
        how();
    }
}

/// Whether a pause is something to this thread.
pub fn gives_way() -> bool {
    HOW.get().is_some()
}

/// Drops what there is one by one, with pauses.
pub fn drop_in_turn<T>(things: impl IntoIterator<Item = T>) {
    for thing in things {
        drop(thing);
        pause();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    thread_local! {
        static PAUSED: Cell<u32> = const { Cell::new(0) };
    }

    #[test]
    fn only_a_thread_that_said_how_pauses() {
        pause();
        assert_eq!(PAUSED.get(), 0);
        assert!(!gives_way());
        pauses(|| PAUSED.set(PAUSED.get() + 1));
        assert!(gives_way());
        drop_in_turn(["a", "b"]);
        assert_eq!(PAUSED.get(), 2);
        let elsewhere = std::thread::spawn(|| {
            pause();
            PAUSED.get()
        });
        assert_eq!(elsewhere.join().unwrap(), 0);
    }
}
