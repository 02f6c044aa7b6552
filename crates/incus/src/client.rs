//! Calls to the server: requests from arguments, answers out of their envelope, operations waited for.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request};
use patchyard_types::printable;
use serde_json::Value;

use crate::{IncusError, socket};

/// How long a call may take that is answered at once.
const CALL: Duration = Duration::from_secs(60);
/// How long an operation may take: the copy of a large instance where the storage has no snapshots of its own.
const OPERATION: Duration = Duration::from_secs(1800);
/// The most an answer may take, in bytes: thousands of instances stay below.
const ANSWER: usize = 64 * 1024 * 1024;

/// A server, by its unix socket; cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    socket: Arc<Path>,
    server: Arc<Server>,
}

/// What a server says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Incus or LXD.
    pub product: Product,
    /// Its name: a machine's host name, or a cluster member's.
    pub name: String,
    /// Its version: `5.0.2`.
    pub version: String,
    /// Names of what it can do beyond the first version of the API.
    pub extensions: Vec<String>,
}

impl Server {
    /// Whether it has an extension of the API.
    #[must_use]
    pub fn has(&self, extension: &str) -> bool {
        self.extensions.iter().any(|known| known == extension)
    }

    fn read(answer: &Value) -> Self {
        let environment = &answer["environment"];
        let extensions = answer["api_extensions"].as_array().into_iter().flatten();
        Self {
            product: if environment["server"] == "incus" { Product::Incus } else { Product::Lxd },
            name: text(&environment["server_name"]),
            version: text(&environment["server_version"]),
            extensions: extensions.map(text).collect(),
        }
    }
}

/// Whose server answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Product {
    /// Incus.
    Incus,
    /// LXD, which Incus was made from.
    Lxd,
}

impl Client {
    /// Connects to the server behind a socket: the named one, else `/var/lib/incus/unix.socket`, else
    /// `/var/lib/lxd/unix.socket`.
    ///
    /// # Errors
    /// When there is none, it does not answer, or gives us no rights.
    pub async fn connect(named: Option<&Path>) -> Result<Self, IncusError> {
        let path: PathBuf = socket::find(named)?;
        let nobody = Server {
            product: Product::Lxd,
            name: String::new(),
            version: String::new(),
            extensions: Vec::new(),
        };
        let mut client = Self { socket: path.into(), server: Arc::new(nobody) };
        let answer = client.call(Method::GET, &target(&[], &[]), None).await?;
        // Others may ask who it is, too; but no more than that.
        if answer["auth"] != "trusted" {
            return Err(IncusError::NotTrusted { socket: client.socket.to_path_buf() });
        }
        client.server = Arc::new(Server::read(&answer));
        Ok(client)
    }

    /// What the server said of itself when it was connected to.
    #[must_use]
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Its socket.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// A call that is answered at once, or whose answer is the operation it has begun.
    pub(crate) async fn call(
        &self,
        method: Method,
        target: &str,
        body: Option<&Value>,
    ) -> Result<Value, IncusError> {
        self.call_within(CALL, method, target, body).await
    }

    /// A call that begins an operation, which is waited for. It goes on when nobody waits any more.
    pub(crate) async fn operate(
        &self,
        method: Method,
        target: &str,
        body: Option<&Value>,
    ) -> Result<(), IncusError> {
        let what = what(&method, target);
        let begun = self.call(method, target, body).await?;
        let operation = self.wait(&what, operation_id(&what, &begun)?, OPERATION).await?;
        succeeded(&what, &operation)
    }

    /// Waits until an operation has ended, for at most so long; the operation.
    pub(crate) async fn wait(&self, what: &str, id: &str, limit: Duration) -> Result<Value, IncusError> {
        let target = target(&["operations", id, "wait"], &[]);
        self.call_within(limit, Method::GET, &target, None).await.map_err(|error| match error {
            IncusError::TimedOut { after, .. } => IncusError::TimedOut { what: what.to_owned(), after },
            // An operation that has ended is forgotten after some seconds.
            IncusError::NotFound { message, .. } => IncusError::lost(&self.socket, what, &message),
            other => other,
        })
    }

    async fn call_within(
        &self,
        limit: Duration,
        method: Method,
        target: &str,
        body: Option<&Value>,
    ) -> Result<Value, IncusError> {
        let what = what(&method, target);
        let answered = async {
            let mut request = Request::new(match body {
                Some(body) => Full::new(Bytes::from(body.to_string())),
                None => Full::default(),
            });
            *request.method_mut() = method;
            *request.uri_mut() =
                target.parse().map_err(|_| IncusError::protocol(&what, "its address is none"))?;
            request.headers_mut().insert(HOST, hyper::header::HeaderValue::from_static("incus"));
            if body.is_some() {
                let json = hyper::header::HeaderValue::from_static("application/json");
                request.headers_mut().insert(CONTENT_TYPE, json);
            }
            let lost = |reason: &str| IncusError::lost(&self.socket, &what, reason);
            let mut sender = socket::dial(&self.socket).await?;
            let response = sender.send_request(request).await.map_err(|error| lost(&error.to_string()))?;
            let status = response.status().as_u16();
            let bytes = Limited::new(response.into_body(), ANSWER).collect().await;
            self.opened(&what, status, &bytes.map_err(|error| lost(&error.to_string()))?.to_bytes())
        };
        tokio::time::timeout(limit, answered)
            .await
            .unwrap_or_else(|_| Err(IncusError::TimedOut { what: what.clone(), after: limit }))
    }

    /// Takes an answer out of its envelope: `{"type": "sync" | "async" | "error", …, "metadata": …}`.
    fn opened(&self, what: &str, status: u16, bytes: &[u8]) -> Result<Value, IncusError> {
        let mut answer: Value = match serde_json::from_slice(bytes) {
            Ok(answer) => answer,
            Err(_) if status >= 400 => {
                let message = String::from_utf8_lossy(bytes);
                return Err(IncusError::refused(&self.socket, what, status, message.trim()));
            }
            Err(error) => return Err(IncusError::protocol(what, error.to_string())),
        };
        match answer["type"].as_str() {
            Some("sync" | "async") if status < 400 => Ok(answer["metadata"].take()),
            _ if status >= 400 => {
                Err(IncusError::refused(&self.socket, what, status, &text(&answer["error"])))
            }
            _ => Err(IncusError::protocol(what, "it is no answer of this API")),
        }
    }
}

/// The id of an operation that a call has begun.
pub(crate) fn operation_id<'a>(what: &str, operation: &'a Value) -> Result<&'a str, IncusError> {
    operation["id"].as_str().ok_or_else(|| IncusError::protocol(what, "it names no operation"))
}

/// Whether an operation has ended well.
pub(crate) fn succeeded(what: &str, operation: &Value) -> Result<(), IncusError> {
    match operation["status_code"].as_u64() {
        Some(200) => Ok(()),
        Some(400 | 401) => {
            let said = text(&operation["err"]);
            Err(IncusError::failed(what, if said.is_empty() { "it was cancelled" } else { &said }))
        }
        _ => Err(IncusError::protocol(what, format!("its operation has ended as {}", operation["status"]))),
    }
}

/// A call as messages name it: without its arguments, among which there are secrets.
pub(crate) fn what(method: &Method, target: &str) -> String {
    printable(&format!("{method} {}", target.split('?').next().unwrap_or_default()), 300)
}

/// The address of a call: a path below `/1.0` and arguments, each escaped.
pub(crate) fn target(path: &[&str], arguments: &[(&str, &str)]) -> String {
    let mut out = "/1.0".to_owned();
    for segment in path {
        out.push('/');
        escape(segment, &mut out);
    }
    for (number, (name, value)) in arguments.iter().enumerate() {
        out.push(if number == 0 { '?' } else { '&' });
        out.push_str(name);
        out.push('=');
        escape(value, &mut out);
    }
    out
}

/// All but the characters that never mean anything.
fn escape(text: &str, out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn arguments_do_not_become_parts_of_an_address() {
        assert_eq!(target(&[], &[]), "/1.0");
        assert_eq!(
            target(&["instances", "a/../b?c"], &[("project", "x&y"), ("recursion", "1")]),
            "/1.0/instances/a%2F..%2Fb%3Fc?project=x%26y&recursion=1"
        );
    }

    #[test]
    fn secrets_are_left_out_of_messages() {
        let target = target(&["operations", "1", "websocket"], &[("secret", "abc")]);
        assert_eq!(what(&Method::GET, &target), "GET /1.0/operations/1/websocket");
    }

    #[test]
    fn a_server_tells_what_it_is() {
        let answer = json!({
            "api_extensions": ["storage", "projects"],
            "environment": {"server": "incus", "server_name": "one", "server_version": "6.0.4"},
        });
        let server = Server::read(&answer);
        assert_eq!((server.product, &*server.name, &*server.version), (Product::Incus, "one", "6.0.4"));
        assert!(server.has("projects") && !server.has("project"));
    }
}
