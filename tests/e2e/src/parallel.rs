//! Cases that have nothing to do with each other, a few at a time.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

/// Runs every case, `threads` at a time, and fails after the last one with all that failed.
///
/// # Panics
/// When a case did.
pub fn in_parallel<T: Send + Sync>(
    threads: usize,
    cases: &[T],
    name: impl Fn(&T) -> String + Sync,
    run: impl Fn(&T) + Sync,
) {
    let next = std::sync::atomic::AtomicUsize::new(0);
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
                    let began = std::time::Instant::now();
                    let outcome = catch_unwind(AssertUnwindSafe(|| run(case)));
                    let how = if outcome.is_ok() { "ok" } else { "FAILED" };
                    eprintln!("{how} {} ({:.1} s)", name(case), began.elapsed().as_secs_f32());
                    if let Err(panic) = outcome {
                        let words = panic
                            .downcast_ref::<String>()
                            .cloned()
                            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
                        failed.lock().unwrap().push(format!("{}: {}", name(case), words.unwrap_or_default()));
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{} of {} failed:\n{}", failed.len(), cases.len(), failed.join("\n"));
}
