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
                    failed.lock().unwrap().extend(complaint(&name(case), || run(case)));
                }
            });
        }
    });
    none_failed(cases.len(), &failed.into_inner().unwrap());
}

/// Runs every case, one after the other, and fails after the last one with all that failed.
///
/// # Panics
/// When a case did.
pub fn one_after_the_other<T>(cases: &[T], name: impl Fn(&T) -> String, run: impl Fn(&T)) {
    let failed: Vec<String> = cases.iter().filter_map(|case| complaint(&name(case), || run(case))).collect();
    none_failed(cases.len(), &failed);
}

fn none_failed(cases: usize, failed: &[String]) {
    assert!(failed.is_empty(), "{} of {cases} failed:\n{}", failed.len(), failed.join("\n"));
}

/// Runs a case and tells how it went; what it failed for, if it did.
fn complaint(name: &str, run: impl FnOnce()) -> Option<String> {
    let began = std::time::Instant::now();
    let outcome = catch_unwind(AssertUnwindSafe(run));
    let how = if outcome.is_ok() { "ok" } else { "FAILED" };
    eprintln!("{how} {name} ({:.1} s)", began.elapsed().as_secs_f32());
    let panic = outcome.err()?;
    let words = panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    Some(format!("{name}: {}", words.unwrap_or_default()))
}
