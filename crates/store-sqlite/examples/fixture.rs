//! Writes this version's fixture: a database with something of everything, and what is in it as
//! JSON: `cargo run -p patchyard-store-sqlite --example fixture`. Until a version is released its
//! two files may be removed and written anew; from then on they never change.

use std::error::Error;
use std::path::Path;

use patchyard_contract::suite::sample::{at, events, plan};
use patchyard_contract::{Append, Store as _};
use patchyard_store_sqlite::{DATABASE, SqliteStore};
use patchyard_types::RolloutId;

#[path = "../tests/contents/mod.rs"]
mod contents;

fn main() -> Result<(), Box<dyn Error>> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let name = fixtures.join(format!("v{}", env!("CARGO_PKG_VERSION")));
    let (database, json) = (name.with_added_extension("db"), name.with_added_extension("json"));
    if database.exists() {
        return Err(
            format!("{} is there already, and a released fixture never changes", database.display()).into()
        );
    }
    let dir = tempfile::tempdir()?;
    let contents = tokio::runtime::Runtime::new()?.block_on(write(dir.path()))?;
    std::fs::write(json, serde_json::to_string_pretty(&contents)? + "\n")?;
    // The store is closed: everything is in the one file.
    std::fs::copy(dir.path().join(DATABASE), database)?;
    Ok(())
}

async fn write(dir: &Path) -> Result<contents::Contents, Box<dyn Error>> {
    let store = SqliteStore::open(dir)?;
    for rollout in [RolloutId(1), RolloutId(2)] {
        for (index, (stream, body)) in (0_i64..).zip(events(rollout)) {
            let append = Append { stream, expected: None, bodies: vec![body] };
            store.append(at(index * 500), vec![append]).await?;
        }
    }
    store.save_plan(&plan("sample")).await?;
    store.remember("pending/sample", at(1), r#"{"packages":[]}"#).await?;
    Ok(contents::Contents::of(&store, &["pending/sample"]).await?)
}
