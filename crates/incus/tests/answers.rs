//! What is made of answers that a real server gives seldom, or never to root.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::path::{Path, PathBuf};

use patchyard_incus::{Client, IncusError, InstanceName, Product};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixListener;

const TRUSTED: &str = r#"{"type":"sync","metadata":{"auth":"trusted","environment":{"server":"incus"}}}"#;

/// Answers each call with the next of these, status and body.
fn peer(answers: &'static [(u16, &'static str)]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    tokio::spawn(async move {
        for (status, body) in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut heard = Vec::new();
            while !heard.windows(4).any(|end| end == b"\r\n\r\n") {
                stream.read_buf(&mut heard).await.unwrap();
            }
            let head = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\n\r\n", body.len());
            stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).await.unwrap();
        }
    });
    (folder, path)
}

async fn connect(path: &Path) -> Result<Client, IncusError> {
    Client::connect(Some(path)).await
}

#[tokio::test]
async fn whoever_is_not_trusted_is_told_so() {
    for answer in [
        &[(200, r#"{"type":"sync","metadata":{"auth":"untrusted"}}"#)][..],
        &[(403, r#"{"type":"error","error":"not authorized","error_code":403}"#)],
        &[(403, "")],
    ] {
        let (_folder, path) = peer(answer);
        let error = connect(&path).await.map(drop).unwrap_err();
        assert_eq!(error, IncusError::NotTrusted { socket: path });
        assert!(error.to_string().contains("does not trust us"), "{error}");
    }
}

#[tokio::test]
async fn what_is_no_server_of_this_api_is_told_so() {
    for answer in [&[(200, "hello")][..], &[(200, "{}")], &[(200, r#"{"type":"error"}"#)]] {
        let (_folder, path) = peer(answer);
        let error = connect(&path).await.map(drop).unwrap_err();
        assert!(matches!(error, IncusError::Protocol { .. }), "{error}");
    }
}

#[tokio::test]
async fn an_operation_that_fails_fails_the_call() {
    let begun = r#"{"type":"async","metadata":{"id":"7"}}"#;
    let failed = r#"{"type":"sync","metadata":{"status_code":400,"status":"Failure","err":"no space left"}}"#;
    let cancelled = r#"{"type":"sync","metadata":{"status_code":401,"status":"Cancelled","err":""}}"#;
    let running = r#"{"type":"sync","metadata":{"status_code":103,"status":"Running"}}"#;
    let forgotten = r#"{"type":"error","error":"Operation not found","error_code":404}"#;
    for (status, end, expected) in [
        (200, failed, "POST /1.0/instances/web/snapshots failed: no space left"),
        (200, cancelled, "POST /1.0/instances/web/snapshots failed: it was cancelled"),
        (200, running, "its operation has ended as \"Running\""),
        (404, forgotten, "was lost: POST /1.0/instances/web/snapshots: Operation not found"),
    ] {
        let answers = Vec::leak(vec![(200, TRUSTED), (202, begun), (status, end)]);
        let (_folder, path) = peer(answers);
        let client = connect(&path).await.unwrap();
        assert_eq!(client.server().product, Product::Incus);
        let error = client.create_snapshot(&InstanceName::new("web"), "one").await.unwrap_err();
        assert!(error.to_string().contains(expected) && error.outcome_unknown(), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_goes_away_is_lost() {
    let (_folder, path) = peer(&[(200, TRUSTED)]);
    let client = connect(&path).await.unwrap();
    // It listens no more.
    let error = loop {
        match client.instances().await.unwrap_err() {
            IncusError::Lost { .. } => tokio::task::yield_now().await,
            error => break error,
        }
    };
    assert!(matches!(error, IncusError::Unreachable { .. }), "{error}");
}
