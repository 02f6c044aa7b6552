//! What answers HTTP: one plain GET, with limits on time and size.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::header::{CONNECTION, HOST, USER_AGENT};
use hyper_util::rt::TokioIo;
use patchyard_types::{Baseline, HttpAnswer, Millis};
use tokio::net::TcpStream;

use super::Look;
use super::reach::exposed;

/// How much of a body is read when its text matters.
const BODY: usize = 64 * 1024;

/// How many ports are asked: a container with more publishes a range, not services.
const PORTS: usize = 16;

/// An answer.
pub(super) struct Answer {
    pub status: u16,
    pub took: Duration,
    pub body: Vec<u8>,
}

/// Why there is none.
pub(super) enum NoAnswer {
    /// It speaks something else.
    NotHttp,
    /// It does not accept connections, or hangs up without a word, or takes too long.
    Silent(String),
}

/// Every TCP port that is published, or declared and reached, asked for `/`. Of those that are not published
/// `before` says which have answered HTTP so far: the others count for nothing, and are not asked again and
/// again in a language that they do not speak, which some programs hold against the one who asks.
pub(super) async fn answers(look: &Look<'_>, before: Option<&Baseline>) -> BTreeMap<u16, HttpAnswer> {
    let others: Vec<u16> = match before {
        Some(before) => before.http.iter().filter(|(_, a)| a.is_http()).map(|(port, _)| *port).collect(),
        None => exposed(look.inspect).collect(),
    };
    // The published ones come first where there are too many.
    let published = &look.reach.published;
    let others = others.into_iter().filter(|port| !published.contains_key(port));
    let others = others.take(PORTS.saturating_sub(published.len()));
    let ways = look.reach.ways_to(others);
    let asked = ways.iter().take(PORTS).map(async |(port, way)| {
        let answer = match get(way, "/", false, look.limit).await {
            Ok(answer) => HttpAnswer::Status { status: answer.status, took: Millis::from(answer.took) },
            Err(NoAnswer::NotHttp) => HttpAnswer::NotHttp,
            Err(NoAnswer::Silent(_)) => HttpAnswer::Silent,
        };
        (*port, answer)
    });
    let counts = |(port, answer): &(u16, HttpAnswer)| {
        answer.is_http() || published.contains_key(port) || before.is_some()
    };
    join_all(asked).await.into_iter().filter(counts).collect()
}

/// Asks once.
pub(super) async fn get(
    (host, port): &(String, u16),
    path: &str,
    with_body: bool,
    limit: Duration,
) -> Result<Answer, NoAnswer> {
    let asked = ask(host, *port, path, with_body);
    match tokio::time::timeout(limit, asked).await {
        Ok(answer) => answer,
        Err(_) => Err(NoAnswer::Silent(format!("no answer within {}", Millis::from(limit)))),
    }
}

async fn ask(host: &str, port: u16, path: &str, with_body: bool) -> Result<Answer, NoAnswer> {
    let silent =
        |error: &dyn std::fmt::Display| NoAnswer::Silent(patchyard_types::printable(&error.to_string(), 200));
    let began = Instant::now();
    let stream = TcpStream::connect((host, port)).await.map_err(|error| silent(&error))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| silent(&error))?;
    let name = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let request = hyper::Request::get(path)
        .header(HOST, name)
        .header(USER_AGENT, "patchyard")
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| silent(&error))?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(|error| match error.is_parse() {
            true => NoAnswer::NotHttp,
            // The engine's proxy accepts and hangs up when nothing listens behind it.
            false => silent(&error),
        })?;
        let (status, took) = (response.status().as_u16(), began.elapsed());
        let mut body = Vec::new();
        let mut incoming = response.into_body();
        while with_body && body.len() < BODY {
            match incoming.frame().await {
                Some(Ok(frame)) => body.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data)),
                Some(Err(error)) => return Err(silent(&error)),
                None => break,
            }
        }
        body.truncate(BODY);
        Ok(Answer { status, took, body })
    };
    tokio::pin!(exchange);
    tokio::pin!(connection);
    // The connection has to be driven beside the exchange, and ends with it.
    tokio::select! {
        answer = &mut exchange => answer,
        ended = &mut connection => match ended {
            Err(error) if error.is_parse() => Err(NoAnswer::NotHttp),
            _ => exchange.await,
        },
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// A server that says these words to everybody, or hangs up at once, or says nothing.
    async fn server(words: Option<&'static str>) -> (String, u16) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut request = [0; 1024];
                    let _ = stream.read(&mut request).await;
                    match words {
                        Some(words) => drop(stream.write_all(words.as_bytes()).await),
                        None => std::future::pending().await,
                    }
                });
            }
        });
        ("127.0.0.1".to_owned(), port)
    }

    const LIMIT: Duration = Duration::from_millis(300);

    #[tokio::test]
    async fn a_status_and_a_body_are_read() {
        let way = server(Some("HTTP/1.1 503 Busy\r\nContent-Length: 5\r\n\r\nhello")).await;
        let Ok(answer) = get(&way, "/", true, LIMIT).await else { panic!() };
        assert_eq!((answer.status, answer.body.as_slice()), (503, &b"hello"[..]));
    }

    #[tokio::test]
    async fn what_speaks_something_else_is_not_silent() {
        for words in ["220 mail.example ESMTP\r\n", "-ERR unknown command\r\n"] {
            let way = server(Some(words)).await;
            assert!(matches!(get(&way, "/", false, LIMIT).await, Err(NoAnswer::NotHttp)), "{words}");
        }
    }

    #[tokio::test]
    async fn who_hangs_up_or_says_nothing_is_silent() {
        for words in [Some(""), None] {
            let way = server(words).await;
            assert!(matches!(get(&way, "/", false, LIMIT).await, Err(NoAnswer::Silent(_))), "{words:?}");
        }
        let closed = ("127.0.0.1".to_owned(), 1);
        assert!(matches!(get(&closed, "/", false, LIMIT).await, Err(NoAnswer::Silent(_))));
    }

    #[tokio::test]
    async fn an_endless_body_is_cut() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
            while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
        });
        let answer = get(&("127.0.0.1".to_owned(), port), "/", true, Duration::from_secs(5)).await;
        let Ok(answer) = answer else { panic!() };
        assert_eq!(answer.body.len(), BODY);
    }
}
