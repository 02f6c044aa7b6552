//! The engine's HTTP API as it is: requests from argument vectors, answers as raw JSON.
//!
//! No typed models: those drop the fields they do not know, and a swap must not lose a setting. What
//! is built here knows the protocol (transports, version, streams, exec, archives), not containers.

mod archive;
mod body;
mod connect;
mod context;
mod endpoint;
mod error;
mod exec;
mod head;
mod logs;
mod tar;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full};
use hyper::header::{CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use hyper::{Method, Response, StatusCode};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde_json::Value;

pub use archive::PathStat;
pub(crate) use archive::follow;
pub use body::{BodyReader, JsonLines, limited, reader_body};
pub use endpoint::{Address, Endpoint, EndpointError, Environment, SshAddress, TlsFiles, resolve};
pub use error::ApiError;
pub use exec::{Exec, ExecOutput};
pub use head::Head;
pub use tar::{Entry, EntryKind, TarReader, TarWriter};

pub(crate) use context::read_json;

use connect::{DialError, Dialer};

/// A request's body.
pub type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// The newest API version this client was tried with. An engine's own version is spoken up to it:
/// engines leave out of a create request what came after the version it is made with.
const NEWEST: ApiVersion = ApiVersion { major: 1, minor: 51 };
/// Docker 20.10 and Podman 4.
const OLDEST: ApiVersion = ApiVersion { major: 1, minor: 40 };

/// Podman's own API, beside the Docker-compatible one: every Podman since 4.0 speaks this version of it.
const PODMAN_API: &str = "/v4.0.0/libpod";

/// How long a call may take until its answer begins, where the caller names no other time.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

/// The most an answer in JSON may take: a host with ten thousand containers stays below.
const JSON_LIMIT: u64 = 32 * 1024 * 1024;
/// The most an error message may take.
const ERROR_LIMIT: u64 = 64 * 1024;

/// A version of the engine's API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ApiVersion {
    /// Always 1 so far.
    pub major: u32,
    /// Counts up.
    pub minor: u32,
}

impl ApiVersion {
    fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.split_once('.')?;
        Some(Self { major: major.parse().ok()?, minor: minor.parse().ok()? })
    }

    /// Whether a create call may name more than one network.
    #[must_use]
    pub fn takes_several_endpoints(self) -> bool {
        self >= Self { major: 1, minor: 44 }
    }
}

impl std::fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Whose engine answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineKind {
    /// Docker.
    Docker,
    /// Podman's Docker-compatible API.
    Podman,
}

/// A connection to one engine; cheap to clone. Connections are opened when needed and kept a while.
#[derive(Clone)]
pub struct Client {
    pool: Pool<Dialer, Body>,
    dialer: Dialer,
    about: Arc<About>,
}

struct About {
    endpoint: Endpoint,
    api: ApiVersion,
    kind: EngineKind,
    version: String,
}

impl Client {
    /// Connects and agrees on the API version: the engine's own, but none newer than this client was
    /// tried with, unless the engine insists.
    ///
    /// # Errors
    /// When the engine cannot be reached, does not let us in, or is too old.
    pub async fn connect(endpoint: Endpoint) -> Result<Self, ApiError> {
        let dialer = Dialer::new(endpoint.address.clone())
            .map_err(|error| ApiError::NotPermitted { reason: error.to_string() })?;
        let pool = Pool::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(20))
            .pool_max_idle_per_host(8)
            .build(dialer.clone());
        let about = About { endpoint, api: OLDEST, kind: EngineKind::Docker, version: String::new() };
        let mut client = Self { pool, dialer, about: Arc::new(about) };
        let version = Request::new(&client, Method::GET, "/version".to_owned())
            .timeout(Duration::from_secs(20))
            .json()
            .await?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (api, kind) = negotiate(&version)?;
        client.about = Arc::new(About {
            endpoint: client.about.endpoint.clone(),
            api,
            kind,
            version: text(&version["Version"]),
        });
        Ok(client)
    }

    /// The version of the API that is spoken.
    #[must_use]
    pub fn api(&self) -> ApiVersion {
        self.about.api
    }

    /// Docker or Podman.
    #[must_use]
    pub fn kind(&self) -> EngineKind {
        self.about.kind
    }

    /// The engine's own version: `20.10.24+dfsg1`.
    #[must_use]
    pub fn engine_version(&self) -> &str {
        &self.about.version
    }

    /// Where it is.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.about.endpoint
    }

    /// A GET of the path with these segments (each is escaped).
    pub fn get(&self, path: &[&str]) -> Request<'_> {
        self.request(Method::GET, path)
    }

    /// A HEAD.
    pub fn head(&self, path: &[&str]) -> Request<'_> {
        self.request(Method::HEAD, path)
    }

    /// A POST.
    pub fn post(&self, path: &[&str]) -> Request<'_> {
        self.request(Method::POST, path)
    }

    /// A PUT.
    pub fn put(&self, path: &[&str]) -> Request<'_> {
        self.request(Method::PUT, path)
    }

    /// A DELETE.
    pub fn delete(&self, path: &[&str]) -> Request<'_> {
        self.request(Method::DELETE, path)
    }

    /// A GET of Podman's own API.
    pub(crate) fn podman_get(&self, path: &[&str]) -> Request<'_> {
        self.request_below(PODMAN_API.to_owned(), Method::GET, path)
    }

    /// A POST of Podman's own API.
    pub(crate) fn podman_post(&self, path: &[&str]) -> Request<'_> {
        self.request_below(PODMAN_API.to_owned(), Method::POST, path)
    }

    fn request(&self, method: Method, path: &[&str]) -> Request<'_> {
        self.request_below(format!("/v{}", self.api()), method, path)
    }

    fn request_below(&self, mut target: String, method: Method, path: &[&str]) -> Request<'_> {
        for segment in path {
            target.push('/');
            escape(segment, &mut target);
        }
        Request::new(self, method, target)
    }

    fn broken(&self, error: &hyper_util::client::legacy::Error) -> ApiError {
        let causes = || {
            let first = std::error::Error::source(error);
            std::iter::successors(first, |cause| cause.source())
        };
        if let Some(dial) = causes().find_map(|cause| cause.downcast_ref::<DialError>()) {
            let reason = dial.reason.clone();
            return if dial.denied {
                ApiError::NotPermitted { reason }
            } else {
                ApiError::Unreachable { reason }
            };
        }
        let reason = causes().last().map_or_else(|| error.to_string(), ToString::to_string);
        match self.dialer.ssh_words() {
            // The pipe opens before `ssh` has logged in: its end without an answer is a failed login.
            Some(words) => {
                let words = words.strip_prefix("ssh: ").unwrap_or(&words);
                ApiError::Unreachable { reason: format!("ssh: {words}") }
            }
            None if reason.contains("received fatal alert") => ApiError::NotPermitted {
                reason: format!(
                    "the engine ended the TLS connection: {reason}; does it know our certificate?"
                ),
            },
            None if error.is_connect() => ApiError::Unreachable { reason },
            None => ApiError::Lost { reason },
        }
    }
}

fn negotiate(version: &Value) -> Result<(ApiVersion, EngineKind), ApiError> {
    let read = |key: &str| version[key].as_str().and_then(ApiVersion::parse);
    let own = read("ApiVersion").ok_or_else(|| ApiError::protocol("/version names no ApiVersion"))?;
    if own < OLDEST {
        return Err(ApiError::NotPermitted {
            reason: format!("the engine speaks API {own}, Patchyard needs {OLDEST} (Docker 20.10) or newer"),
        });
    }
    let least = read("MinAPIVersion").unwrap_or(OLDEST);
    let podman = version["Components"]
        .as_array()
        .is_some_and(|parts| parts.iter().any(|part| part["Name"].as_str() == Some("Podman Engine")));
    Ok((own.min(NEWEST).max(least), if podman { EngineKind::Podman } else { EngineKind::Docker }))
}

/// One call to the engine, put together from arguments.
#[must_use]
pub struct Request<'a> {
    client: &'a Client,
    method: Method,
    target: String,
    has_query: bool,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Result<Body, ApiError>,
    timeout: Duration,
}

impl<'a> Request<'a> {
    fn new(client: &'a Client, method: Method, target: String) -> Self {
        let body = Ok(Empty::new().map_err(|never| match never {}).boxed_unsync());
        Self { client, method, target, has_query: false, headers: Vec::new(), body, timeout: DEFAULT_TIMEOUT }
    }

    /// Adds a query argument.
    pub fn query(mut self, name: &str, value: &str) -> Self {
        self.target.push(if self.has_query { '&' } else { '?' });
        self.has_query = true;
        self.target.push_str(name);
        self.target.push('=');
        escape(value, &mut self.target);
        self
    }

    /// Adds a header; a value that is none (a line break in it) fails the call.
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        match HeaderValue::from_str(value) {
            Ok(value) => self.headers.push((HeaderName::from_static(name), value)),
            Err(_) => self.body = Err(ApiError::protocol(format!("the value of {name} is no header"))),
        }
        self
    }

    /// Sends JSON.
    pub fn json_body(mut self, body: &Value) -> Self {
        self.headers.push((CONTENT_TYPE, HeaderValue::from_static("application/json")));
        let bytes = Bytes::from(body.to_string());
        self.body = self.body.map(|_| Full::new(bytes).map_err(|never| match never {}).boxed_unsync());
        self
    }

    /// Sends a stream (a tar archive mostly).
    pub fn body(mut self, content_type: &'static str, body: Body) -> Self {
        self.headers.push((CONTENT_TYPE, HeaderValue::from_static(content_type)));
        self.body = self.body.map(|_| body);
        self
    }

    /// How long it may take: until the answer is complete, or, for streams, until it begins and
    /// between two pieces of it.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sends it and waits for the head of a good answer.
    async fn send(self) -> Result<(Response<hyper::body::Incoming>, String), ApiError> {
        let what = format!("{} {}", self.method, self.target.split('?').next().unwrap_or_default());
        let mut request = hyper::Request::new(self.body?);
        *request.method_mut() = self.method;
        *request.uri_mut() = format!("http://engine{}", self.target)
            .parse()
            .map_err(|_| ApiError::protocol(format!("{what} is no address")))?;
        request.headers_mut().insert(HOST, HeaderValue::from_static("docker"));
        request.headers_mut().extend(self.headers.into_iter().map(|(name, value)| (Some(name), value)));
        let sent = self.client.pool.request(request);
        let response = match tokio::time::timeout(self.timeout, sent).await {
            Err(_) => return Err(ApiError::Timeout { what, after: self.timeout }),
            Ok(Err(error)) => return Err(self.client.broken(&error)),
            Ok(Ok(response)) => response,
        };
        let status = response.status();
        // 304 is an answer of its own ("it was so already"), told to the caller as an error.
        if status.is_success() || status == StatusCode::SWITCHING_PROTOCOLS {
            return Ok((response, what));
        }
        let mut body = BodyReader::new(response.into_body(), what, self.timeout);
        let message = body.all(ERROR_LIMIT).await.unwrap_or_default();
        Err(ApiError::from_status(status.as_u16(), &message))
    }

    /// The answer as JSON; `Null` for an empty one.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn json(self) -> Result<Value, ApiError> {
        let (bytes, what) = self.bytes_of(JSON_LIMIT).await?;
        if bytes.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&bytes).map_err(|error| ApiError::protocol(format!("{what}: {error}")))
    }

    /// Only that it went well; what the engine says besides is thrown away.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn done(self) -> Result<(), ApiError> {
        self.bytes_of(JSON_LIMIT).await.map(|_| ())
    }

    /// The whole answer, at most `limit` bytes of it.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn bytes(self, limit: u64) -> Result<Vec<u8>, ApiError> {
        self.bytes_of(limit).await.map(|(bytes, _)| bytes)
    }

    async fn bytes_of(self, limit: u64) -> Result<(Vec<u8>, String), ApiError> {
        let timeout = self.timeout;
        let target = self.target.clone();
        let whole = async {
            let (response, what) = self.send().await?;
            let bytes = BodyReader::new(response.into_body(), what.clone(), timeout).all(limit).await?;
            Ok((bytes, what))
        };
        match tokio::time::timeout(timeout, whole).await {
            Ok(result) => result,
            Err(_) => Err(ApiError::Timeout { what: target, after: timeout }),
        }
    }

    /// The answer as it comes.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn stream(self) -> Result<BodyReader, ApiError> {
        let timeout = self.timeout;
        let (response, what) = self.send().await?;
        Ok(BodyReader::new(response.into_body(), what, timeout))
    }

    /// The answer as a stream of JSON values (progress of pull, load and build; events).
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn lines(self) -> Result<JsonLines, ApiError> {
        self.stream().await.map(JsonLines::new)
    }

    /// Only the head of the answer.
    async fn headers(self) -> Result<hyper::HeaderMap, ApiError> {
        let (response, _) = self.send().await?;
        Ok(response.into_parts().0.headers)
    }
}

/// Escapes a path segment or a query value: all but the characters that never mean anything.
fn escape(text: &str, out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            for digit in [byte >> 4, byte & 15] {
                out.push(char::from(b"0123456789ABCDEF"[usize::from(digit)]));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_engines_own_version_is_spoken_within_bounds() {
        let api = |own: &str, least: &str| {
            negotiate(&json!({"ApiVersion": own, "MinAPIVersion": least})).map(|(api, _)| api.to_string())
        };
        assert_eq!(api("1.41", "1.12").as_deref(), Ok("1.41"));
        assert_eq!(api("1.45", "1.24").as_deref(), Ok("1.45"));
        assert_eq!(api("1.90", "1.44").as_deref(), Ok("1.51"));
        assert_eq!(api("1.90", "1.60").as_deref(), Ok("1.60"));
        assert!(api("1.39", "1.12").is_err());
        let podman =
            json!({"ApiVersion": "1.40", "MinAPIVersion": "1.24", "Components": [{"Name": "Podman Engine"}]});
        assert_eq!(negotiate(&podman).unwrap().1, EngineKind::Podman);
    }

    #[test]
    fn what_could_mean_something_in_a_path_is_escaped() {
        let mut out = String::new();
        escape("a/b?c d%\u{e4}", &mut out);
        assert_eq!(out, "a%2Fb%3Fc%20d%25%C3%A4");
    }
}
