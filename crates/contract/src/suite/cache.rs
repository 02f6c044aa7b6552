//! What every package cache does, one function a behaviour; [`cache_suite!`](crate::cache_suite)
//! makes tests of them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use patchyard_types::Digest;

use crate::{CacheError, PackageCache};

/// How the suite gets at an implementation: one cache, empty at first, that can be opened several
/// times, as several processes do.
pub trait Fixture {
    /// Opens the cache. What one opened cache keeps, the others find.
    fn open(&self) -> Arc<dyn PackageCache>;
}

/// Makes a `#[test]` of every behaviour of a package cache. The argument is an expression that
/// makes a new [`Fixture`](crate::suite::cache::Fixture).
#[macro_export]
macro_rules! cache_suite {
    ($fixture:expr) => {
        $crate::cache_suite! { $fixture;
            what_was_kept_is_found_by_everybody
            what_was_not_kept_is_not_found
            wrong_bytes_are_refused_and_removed
            keeping_the_same_bytes_again_changes_nothing
            bytes_of_any_size_are_kept
            scratch_files_are_new_empty_and_nobody_elses
            many_keep_the_same_bytes_at_once
        }
    };
    ($fixture:expr; $($behaviour:ident)*) => {$(
        #[test]
        fn $behaviour() {
            $crate::suite::cache::$behaviour(&$fixture);
        }
    )*};
}

fn keep(cache: &dyn PackageCache, bytes: &[u8]) -> std::path::PathBuf {
    let scratch = cache.scratch().unwrap();
    fs::write(&scratch, bytes).unwrap();
    let path = cache.keep(&scratch, &Digest::of_bytes(bytes)).unwrap();
    assert!(!scratch.exists(), "the scratch file has moved");
    path
}

fn assert_holds(cache: &dyn PackageCache, bytes: &[u8]) {
    let path = cache.find(&Digest::of_bytes(bytes)).unwrap();
    assert!(fs::read(path).unwrap() == bytes, "other bytes than were kept");
}

/// # Panics
/// When the cache does not.
pub fn what_was_kept_is_found_by_everybody(fixture: &impl Fixture) {
    let (cache, other) = (fixture.open(), fixture.open());
    let path = keep(&*cache, b"a package");
    assert_eq!(other.find(&Digest::of_bytes(b"a package")), Some(path));
    assert_holds(&*other, b"a package");
    drop((cache, other));
    assert_holds(&*fixture.open(), b"a package");
}

/// # Panics
/// When the cache does not.
pub fn what_was_not_kept_is_not_found(fixture: &impl Fixture) {
    let cache = fixture.open();
    let digest = Digest::of_bytes(b"a package");
    assert_eq!(cache.find(&digest), None);
    let scratch = cache.scratch().unwrap();
    fs::write(&scratch, b"a package").unwrap();
    assert_eq!(cache.find(&digest), None);
    let missing = cache.keep(Path::new("/nonexistent/scratch"), &digest);
    assert!(matches!(missing, Err(CacheError::Io { .. })), "{missing:?}");
    assert_eq!(cache.find(&digest), None);
}

/// # Panics
/// When the cache does not.
pub fn wrong_bytes_are_refused_and_removed(fixture: &impl Fixture) {
    let cache = fixture.open();
    let scratch = cache.scratch().unwrap();
    fs::write(&scratch, b"something else").unwrap();
    let digest = Digest::of_bytes(b"a package");
    match cache.keep(&scratch, &digest) {
        Err(CacheError::WrongBytes { expected, found }) => {
            assert_eq!((expected, found), (digest, Digest::of_bytes(b"something else")));
        }
        answer => panic!("expected wrong bytes, got {answer:?}"),
    }
    assert!(!scratch.exists());
    assert_eq!(cache.find(&digest), None);
    assert_eq!(cache.find(&Digest::of_bytes(b"something else")), None);
}

/// # Panics
/// When the cache does not.
pub fn keeping_the_same_bytes_again_changes_nothing(fixture: &impl Fixture) {
    let cache = fixture.open();
    let first = keep(&*cache, b"a package");
    assert_eq!(keep(&*cache, b"a package"), first);
    assert_holds(&*cache, b"a package");
}

/// # Panics
/// When the cache does not.
pub fn bytes_of_any_size_are_kept(fixture: &impl Fixture) {
    let cache = fixture.open();
    let large: Vec<u8> =
        (0..3_000_001_u32).map(|number| number.to_le_bytes()[0] ^ number.to_le_bytes()[1]).collect();
    for bytes in [&b""[..], b"x", &large] {
        keep(&*cache, bytes);
        assert_holds(&*cache, bytes);
    }
}

/// # Panics
/// When the cache does not.
pub fn scratch_files_are_new_empty_and_nobody_elses(fixture: &impl Fixture) {
    let (cache, other) = (fixture.open(), fixture.open());
    let files: Vec<_> =
        [&cache, &cache, &other, &other].iter().map(|cache| cache.scratch().unwrap()).collect();
    assert_eq!(files.iter().collect::<BTreeSet<_>>().len(), files.len());
    for file in files {
        assert_eq!(fs::metadata(file).unwrap().len(), 0);
    }
}

/// # Panics
/// When the cache does not.
pub fn many_keep_the_same_bytes_at_once(fixture: &impl Fixture) {
    let bytes = vec![7; 200_000];
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let (cache, bytes) = (fixture.open(), &bytes);
            scope.spawn(move || {
                for _ in 0..5 {
                    keep(&*cache, bytes);
                    assert_holds(&*cache, bytes);
                }
            });
        }
    });
}
