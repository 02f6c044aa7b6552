//! many COUNT ENGINE-SOCKET SOCKET: an engine's API with more containers than there are.
//!
//! Stands before a real engine. Each of the engine's running containers is told of again and again, under names and ids of its own,
//! until there are COUNT; a question about one of them goes to the container that it is a copy of. So every answer is a real one, and
//! takes the engine as long as a real one. Everything else passes through. Ends with its standard input.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, Uri, header};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::{UnixListener, UnixStream};

type Body = BoxBody<Bytes, hyper::Error>;
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Digits of an id that tell copies apart; the others are the real container's.
const DIGITS: usize = 8;

struct Many {
    engine: PathBuf,
    count: usize,
    /// The real containers: id and name.
    real: Vec<(String, String)>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [count, engine, socket] = &words[..] else {
        eprintln!("usage: many COUNT ENGINE-SOCKET SOCKET");
        return ExitCode::from(2);
    };
    let Ok(count) = count.parse() else {
        eprintln!("many: {count} is no number");
        return ExitCode::from(2);
    };
    match serve(count, Path::new(engine), Path::new(socket)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("many: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(count: usize, engine: &Path, socket: &Path) -> Result<(), Failure> {
    let listed = Request::get("/containers/json").header(header::HOST, "engine").body(Full::default())?;
    let listed = ask(engine, listed.map(|body| body.map_err(|never| match never {}).boxed())).await?;
    let listed: Value = serde_json::from_slice(&listed.into_body().collect().await?.to_bytes())?;
    let real = listed.as_array().into_iter().flatten().filter_map(|entry| {
        Some((
            entry["Id"].as_str()?.to_owned(),
            entry["Names"][0].as_str()?.trim_start_matches('/').to_owned(),
        ))
    });
    let many = Arc::new(Many { engine: engine.to_owned(), count, real: real.collect() });
    if many.real.is_empty() {
        return Err("the engine runs no container to make many of".into());
    }
    let listener = UnixListener::bind(socket)?;
    let accepting = async {
        loop {
            let (stream, _) = listener.accept().await?;
            let many = Arc::clone(&many);
            tokio::spawn(async move {
                let answer = service_fn(move |request| answer(Arc::clone(&many), request));
                // The client has gone: nobody to tell.
                let _ = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), answer)
                    .await;
            });
        }
    };
    // A thread of its own: nothing else here may wait for input.
    let (ended, end) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        let _ = ended.send(());
    });
    tokio::select! {
        failed = accepting => failed,
        _ = end => Ok(()),
    }
}

async fn answer(many: Arc<Many>, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    Ok(many.answer(request).await.unwrap_or_else(|error| {
        let mut response = Response::new(full(format!("{{\"message\": \"many: {error}\"}}").into()));
        *response.status_mut() = StatusCode::BAD_GATEWAY;
        response
    }))
}

fn full(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed()
}

/// One connection a question: what is measured is on the other side.
async fn ask(engine: &Path, request: Request<Body>) -> Result<Response<Incoming>, Failure> {
    let stream = UnixStream::connect(engine).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender.send_request(request).await?)
}

impl Many {
    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Body>, Failure> {
        let path = request.uri().path().to_owned();
        let (mut parts, body) = request.into_parts();
        // "/v1.41/containers/ID/json"
        let mut words: Vec<&str> = path.split('/').collect();
        let at = words.iter().position(|word| *word == "containers").unwrap_or(words.len());
        let copy = words.get(at + 1).and_then(|word| self.copy(word));
        let is_list = words.get(at + 1..) == Some(&["json"]);
        if let Some((_, real)) = copy {
            words[at + 1] = real;
            let query = parts.uri.query().map_or_else(String::new, |query| format!("?{query}"));
            parts.uri = Uri::try_from(format!("{}{query}", words.join("/")))?;
        }
        let response = ask(&self.engine, Request::from_parts(parts, body.boxed())).await?;
        let is_inspect = copy.is_some() && words.get(at + 2..) == Some(&["json"]);
        if !(is_list || is_inspect) || !response.status().is_success() {
            return Ok(response.map(|body| body.boxed()));
        }
        let (mut parts, body) = response.into_parts();
        let document: Value = serde_json::from_slice(&body.collect().await?.to_bytes())?;
        let document = match copy {
            Some((number, _)) => self.told_again(&document, number),
            None => self.list(&document),
        };
        parts.headers.remove(header::CONTENT_LENGTH);
        parts.headers.remove(header::TRANSFER_ENCODING);
        Ok(Response::from_parts(parts, full(serde_json::to_vec(&document)?.into())))
    }

    /// Which copy an id or a name means: its number, and the real one's id.
    fn copy(&self, word: &str) -> Option<(usize, &str)> {
        let (id, _) =
            self.real.iter().find(|(id, _)| word.len() == id.len() && word[DIGITS..] == id[DIGITS..])?;
        Some((usize::from_str_radix(&word[..DIGITS], 16).ok()?, id))
    }

    /// Other containers of the engine stay as they are, once.
    fn list(&self, listed: &Value) -> Value {
        let entries: Vec<&Value> = listed.as_array().into_iter().flatten().collect();
        let is_real = |entry: &&&Value| self.real.iter().any(|(id, _)| entry["Id"] == id.as_str());
        let real: Vec<&&Value> = entries.iter().filter(is_real).collect();
        let copies = (0..self.count)
            .filter_map(|number| Some(self.told_again(real.get(number % real.len().max(1))?, number)));
        let others = entries.iter().filter(|entry| !is_real(entry)).map(|entry| (*entry).clone());
        copies.chain(others).collect()
    }

    /// A document about a real container as one about its copy.
    fn told_again(&self, document: &Value, number: usize) -> Value {
        let mut document = document.clone();
        let id = document["Id"].as_str().unwrap_or_default().to_owned();
        let Some((_, name)) = self.real.iter().find(|(real, _)| *real == id) else { return document };
        document["Id"] = format!("{number:0DIGITS$x}{}", &id[DIGITS..]).into();
        let name = format!("/{name}-{number}");
        match document["Names"].is_array() {
            true => document["Names"] = vec![name].into(),
            false => document["Name"] = name.into(),
        }
        document
    }
}
