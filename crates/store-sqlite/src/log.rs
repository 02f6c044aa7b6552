//! The event log: appending, reading, and the walk along its hash chain.

use jiff::Timestamp;
use patchyard_contract::{Append, AuditEntry, AuditHead, AuditReport, Auditor, StoreError};
use patchyard_types::{Event, EventBody, RolloutId, SCHEMA_VERSION, Stream, canonical_json};
use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params};

use crate::error::Place;
use crate::upcast::upcast;

/// What one caller wants appended: all of it or nothing.
pub struct Batch {
    pub at: Timestamp,
    pub appends: Vec<Append>,
}

/// Writes batches of several callers, one after the other. Each stands or falls by itself; those that stand become
/// durable together, in one transaction, which waits for the disk once.
pub fn append(
    place: &Place,
    connection: &mut Connection,
    batches: &[&Batch],
) -> Result<Vec<Result<Vec<Event>, StoreError>>, StoreError> {
    let sql = |error| place.sql(error);
    // Immediate: what is read here stays true until the commit.
    let mut transaction =
        connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sql)?;
    let mut head = head(place, &transaction)?;
    let mut results = Vec::with_capacity(batches.len());
    for batch in batches {
        let savepoint = transaction.savepoint().map_err(sql)?;
        results.push(match append_one(place, &savepoint, head, batch) {
            Ok((stored, moved)) => {
                savepoint.commit().map_err(sql)?;
                head = moved;
                Ok(stored)
            }
            // Dropped, the savepoint takes back what it has written.
            Err(conflict @ StoreError::Conflict { .. }) => Err(conflict),
            Err(error) => return Err(error),
        });
    }
    transaction.commit().map_err(sql)?;
    Ok(results)
}

fn append_one(
    place: &Place,
    transaction: &Connection,
    mut head: AuditHead,
    Batch { at, appends }: &Batch,
) -> Result<(Vec<Event>, AuditHead), StoreError> {
    let sql = |error| place.sql(error);
    let at_text = at.to_string();
    let mut stored = Vec::new();
    for Append { stream, expected, bodies } in appends {
        let name = stream.to_string();
        let found = length(transaction, &name).map_err(sql)?;
        if let Some(expected) = *expected
            && expected != found
        {
            return Err(StoreError::Conflict { stream: *stream, expected, found });
        }
        for (seq, body) in (found + 1..).zip(bodies) {
            let entry = AuditEntry {
                position: head.entries + 1,
                stream: &name,
                seq,
                schema_version: SCHEMA_VERSION,
                at: &at_text,
                body: &canonical_json(body),
            };
            head = head.then(&entry);
            insert(transaction, &entry, head).map_err(sql)?;
            stored.push(Event { stream: *stream, seq, at: *at, body: body.clone() });
        }
    }
    Ok((stored, head))
}

fn length(transaction: &Connection, stream: &str) -> rusqlite::Result<u64> {
    transaction
        .prepare_cached("select coalesce(max(seq), 0) from event where stream = ?1")?
        .query_row([stream], |row| row.get::<_, i64>(0))
        .map(i64::unsigned_abs)
}

fn insert(transaction: &Connection, entry: &AuditEntry<'_>, head: AuditHead) -> rusqlite::Result<usize> {
    let AuditEntry { position, stream, seq, schema_version, at, body } = *entry;
    transaction
        .prepare_cached(
            "insert into event (position, stream, seq, schema_version, at, body, chain)
             values (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            number(position),
            stream,
            number(seq),
            schema_version,
            at,
            body,
            head.hash.to_string()
        ])
}

/// The events of a stream behind a sequence number.
pub fn read(
    place: &Place,
    connection: &Connection,
    stream: Stream,
    after: u64,
) -> Result<Vec<Event>, StoreError> {
    let sql = |error| place.sql(error);
    let mut select = connection
        .prepare_cached(
            "select seq, schema_version, at, body from event where stream = ?1 and seq > ?2 order by seq",
        )
        .map_err(sql)?;
    let mut rows = select.query(params![stream.to_string(), number(after)]).map_err(sql)?;
    let mut events = Vec::new();
    let mut expected = number(after);
    while let Some(row) = rows.next().map_err(sql)? {
        let seq: i64 = row.get(0).map_err(sql)?;
        expected += 1;
        if seq != expected {
            return Err(place.damaged(format!("event {expected} of {stream} is missing")));
        }
        let version: u32 = row.get(1).map_err(sql)?;
        let at: String = row.get(2).map_err(sql)?;
        let text: String = row.get(3).map_err(sql)?;
        if version > SCHEMA_VERSION {
            let what = format!("event {seq} of {stream}");
            return Err(StoreError::Newer { what, found: version, known: SCHEMA_VERSION });
        }
        let unreadable = |what: &dyn std::fmt::Display| {
            place.damaged(format!("event {seq} of {stream} cannot be read: {what}"))
        };
        let at = at.parse().map_err(|error: jiff::Error| unreadable(&error))?;
        let body = serde_json::from_str(&text)
            .and_then(|json| serde_json::from_value::<EventBody>(upcast(version, json)))
            .map_err(|error| unreadable(&error))?;
        events.push(Event { stream, seq: seq.unsigned_abs(), at, body });
    }
    Ok(events)
}

/// Every rollout, by number.
pub fn rollouts(place: &Place, connection: &Connection) -> Result<Vec<RolloutId>, StoreError> {
    let sql = |error| place.sql(error);
    let mut select = connection
        .prepare_cached(
            "select stream from event where seq = 1 and stream >= 'rollout/' and stream < 'rollout0'",
        )
        .map_err(sql)?;
    let names = select.query_map([], |row| row.get::<_, String>(0)).map_err(sql)?;
    let mut rollouts = Vec::new();
    for name in names {
        let name = name.map_err(sql)?;
        let id = name.strip_prefix("rollout/").and_then(|id| id.parse().ok());
        rollouts.push(id.ok_or_else(|| place.damaged(format!("there is no rollout called {name:?}")))?);
    }
    rollouts.sort_unstable();
    Ok(rollouts)
}

/// The head of the hash chain, as stored.
pub fn head(place: &Place, connection: &Connection) -> Result<AuditHead, StoreError> {
    let sql = |error| place.sql(error);
    let last: Option<(i64, String)> = connection
        .prepare_cached("select position, chain from event order by position desc limit 1")
        .and_then(|mut select| select.query_row([], |row| Ok((row.get(0)?, row.get(1)?))).optional())
        .map_err(sql)?;
    let Some((position, chain)) = last else { return Ok(AuditHead::START) };
    let hash = chain.parse().map_err(|_| place.damaged(format!("entry {position} has no hash")))?;
    Ok(AuditHead { entries: position.unsigned_abs(), hash })
}

/// Walks the whole chain.
pub fn verify(
    place: &Place,
    connection: &Connection,
    expected: Option<AuditHead>,
) -> Result<AuditReport, StoreError> {
    let sql = |error| place.sql(error);
    let mut auditor = Auditor::new(expected);
    let mut select = connection
        .prepare("select position, stream, seq, schema_version, at, body, chain from event order by position")
        .map_err(sql)?;
    let mut rows = select.query([]).map_err(sql)?;
    while let Some(row) = rows.next().map_err(sql)? {
        if !visit(&mut auditor, row).map_err(sql)? {
            break;
        }
    }
    Ok(auditor.finish())
}

/// A number that is never written is hashed as 0, which matches nothing.
fn visit(auditor: &mut Auditor, row: &rusqlite::Row<'_>) -> rusqlite::Result<bool> {
    let unsigned = |index| Ok::<_, rusqlite::Error>(u64::try_from(row.get::<_, i64>(index)?).unwrap_or(0));
    let text = |index| row.get_ref(index)?.as_str().map_err(rusqlite::Error::from);
    let entry = AuditEntry {
        position: unsigned(0)?,
        stream: text(1)?,
        seq: unsigned(2)?,
        schema_version: u32::try_from(unsigned(3)?).unwrap_or(0),
        at: text(4)?,
        body: text(5)?,
    };
    Ok(auditor.visit(&entry, text(6)?))
}

/// SQLite's integers are signed; nobody writes more than nine trillion million events.
fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
