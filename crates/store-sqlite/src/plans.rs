//! Plans under their digest, and remembered answers.

use std::collections::BTreeSet;

use jiff::Timestamp;
use patchyard_contract::StoreError;
use patchyard_types::{Digest, Plan, PlanDigest, canonical_json};
use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params};

use crate::error::Place;

/// A plan as it is stored.
pub struct Row {
    digest: String,
    decisions: String,
    about: String,
    created: i64,
}

impl Row {
    pub fn new(plan: &Plan) -> Self {
        let decisions = canonical_json(&plan.decisions);
        Self {
            digest: Digest::of_bytes(decisions.as_bytes()).to_string(),
            decisions,
            about: canonical_json(&plan.about),
            created: plan.about.created_at.as_microsecond(),
        }
    }
}

pub fn save(place: &Place, connection: &Connection, row: &Row) -> Result<(), StoreError> {
    let Row { digest, decisions, about, created } = row;
    connection
        .prepare_cached(
            "insert into plan (digest, decisions, about, created) values (?1, ?2, ?3, ?4)
             on conflict (digest) do update set about = excluded.about, created = excluded.created",
        )
        .and_then(|mut insert| insert.execute(params![digest, decisions, about, created]))
        .map(drop)
        .map_err(|error| place.sql(error))
}

pub fn find(place: &Place, connection: &Connection, prefix: &str) -> Result<Vec<PlanDigest>, StoreError> {
    let sql = |error| place.sql(error);
    if !prefix.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(Vec::new());
    }
    let mut select = connection
        .prepare_cached("select digest from plan where digest glob ?1 || '*' order by created desc, digest")
        .map_err(sql)?;
    let digests =
        select.query_map([prefix.to_ascii_lowercase()], |row| row.get::<_, String>(0)).map_err(sql)?;
    digests
        .map(|digest| {
            let digest = digest.map_err(sql)?;
            digest.parse().map_err(|_| place.damaged(format!("there is no plan called {digest:?}")))
        })
        .collect()
}

pub fn load(place: &Place, connection: &Connection, digest: &PlanDigest) -> Result<Option<Plan>, StoreError> {
    let found: Option<(String, String)> = connection
        .prepare_cached("select decisions, about from plan where digest = ?1")
        .and_then(|mut select| {
            select.query_row([digest.to_string()], |row| Ok((row.get(0)?, row.get(1)?))).optional()
        })
        .map_err(|error| place.sql(error))?;
    let Some((decisions, about)) = found else { return Ok(None) };
    let short = digest.short(12);
    if Digest::of_bytes(decisions.as_bytes()) != *digest {
        return Err(place.damaged(format!("plan {short} is not what was planned: its digest does not match")));
    }
    let parse =
        || Ok(Plan { decisions: serde_json::from_str(&decisions)?, about: serde_json::from_str(&about)? });
    parse()
        .map(Some)
        .map_err(|error: serde_json::Error| place.damaged(format!("plan {short} cannot be read: {error}")))
}

/// Removes old plans that are not kept, and old answers; returns how many plans went.
pub fn forget(
    place: &Place,
    connection: &mut Connection,
    before: Timestamp,
    kept: &BTreeSet<PlanDigest>,
) -> Result<u64, StoreError> {
    let mut attempt = || {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let old: Vec<String> = transaction
            .prepare("select digest from plan where created < ?1")?
            .query_map([before.as_microsecond()], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        let mut gone = 0;
        for digest in old.iter().filter(|text| !text.parse().is_ok_and(|digest| kept.contains(&digest))) {
            gone += transaction.execute("delete from plan where digest = ?1", [digest])? as u64;
        }
        let answers: Vec<(String, String)> = transaction
            .prepare("select key, at from answer")?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<_, _>>()?;
        // One without a readable time is of no use either.
        let is_old = |at: &str| at.parse().map_or(true, |at: Timestamp| at < before);
        for (key, _) in answers.iter().filter(|(_, at)| is_old(at)) {
            transaction.execute("delete from answer where key = ?1", [key])?;
        }
        transaction.commit()?;
        Ok(gone)
    };
    attempt().map_err(|error| place.sql(error))
}

pub fn remember(
    place: &Place,
    connection: &Connection,
    key: &str,
    at: Timestamp,
    answer: &str,
) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "insert into answer (key, at, body) values (?1, ?2, ?3)
             on conflict (key) do update set at = excluded.at, body = excluded.body",
        )
        .and_then(|mut insert| insert.execute(params![key, at.to_string(), answer]))
        .map(drop)
        .map_err(|error| place.sql(error))
}

pub fn recall(
    place: &Place,
    connection: &Connection,
    key: &str,
) -> Result<Option<(Timestamp, String)>, StoreError> {
    let found: Option<(String, String)> = connection
        .prepare_cached("select at, body from answer where key = ?1")
        .and_then(|mut select| select.query_row([key], |row| Ok((row.get(0)?, row.get(1)?))).optional())
        .map_err(|error| place.sql(error))?;
    found
        .map(|(at, answer)| match at.parse() {
            Ok(at) => Ok((at, answer)),
            Err(error) => Err(place.damaged(format!("a remembered answer has no time: {error}"))),
        })
        .transpose()
}
