//! Connections to an engine: unix socket, TCP, TCP with TLS, and a pipe through the system's `ssh`.

use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use patchyard_types::printable;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio_rustls::TlsConnector;

use super::endpoint::{Address, SshAddress, TlsFiles};

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// How much of what `ssh` says on stderr is kept.
const SSH_WORDS: usize = 4096;

/// Why a connection did not come about.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{reason}")]
pub(super) struct DialError {
    /// The way is barred rather than missing: permission, TLS, keys.
    pub denied: bool,
    /// What was seen, with what to do.
    pub reason: String,
}

impl DialError {
    fn unreachable(reason: String) -> Self {
        Self { denied: false, reason }
    }

    fn denied(reason: String) -> Self {
        Self { denied: true, reason }
    }
}

/// Opens connections to one endpoint.
#[derive(Clone)]
pub(super) struct Dialer {
    address: Arc<Address>,
    tls: Option<TlsConnector>,
    /// The last words of `ssh`: its reason for ending, where it gave one.
    ssh_words: Arc<Mutex<String>>,
}

impl Dialer {
    /// Reads the TLS material, where there is some, once.
    pub fn new(address: Address) -> Result<Self, DialError> {
        let tls = match &address {
            Address::Tcp { tls: Some(files), .. } => {
                Some(TlsConnector::from(Arc::new(tls_config(files).map_err(DialError::denied)?)))
            }
            _ => None,
        };
        Ok(Self { address: Arc::new(address), tls, ssh_words: Arc::default() })
    }

    /// What `ssh` said last, if anything.
    pub fn ssh_words(&self) -> Option<String> {
        let words = self.ssh_words.lock().unwrap_or_else(PoisonError::into_inner);
        let words = words.trim();
        (!words.is_empty()).then(|| printable(&words.replace('\n', "; "), 500))
    }

    async fn dial(self) -> Result<Stream, DialError> {
        let connected = async {
            match &*self.address {
                Address::Unix(path) => Ok(Stream::new(unix(path).await?)),
                Address::Tcp { host, port, .. } => {
                    let stream = tcp(host, *port).await?;
                    match &self.tls {
                        None => Ok(Stream::new(stream)),
                        Some(tls) => self.secure(tls, host, stream).await,
                    }
                }
                Address::Ssh(to) => ssh(to, Arc::clone(&self.ssh_words)).map(Stream::new),
            }
        };
        tokio::time::timeout(CONNECT_TIMEOUT, connected).await.unwrap_or_else(|_| {
            Err(DialError::unreachable(format!(
                "{} did not take the connection within {} s: is the host up, is a firewall in between?",
                self.address,
                CONNECT_TIMEOUT.as_secs()
            )))
        })
    }

    async fn secure(&self, tls: &TlsConnector, host: &str, stream: TcpStream) -> Result<Stream, DialError> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| DialError::denied(format!("'{host}' is no name that a certificate can carry")))?;
        match tls.connect(name, stream).await {
            Ok(stream) => Ok(Stream::new(stream)),
            Err(error) => Err(DialError::denied(format!(
                "TLS with {} failed: {error}; check ca.pem, cert.pem and key.pem in $DOCKER_CERT_PATH and the name in the engine's certificate",
                self.address
            ))),
        }
    }
}

impl tower_service::Service<Uri> for Dialer {
    type Response = TokioIo<Stream>;
    type Error = DialError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, DialError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), DialError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let dialer = self.clone();
        Box::pin(async move { dialer.dial().await.map(TokioIo::new) })
    }
}

async fn unix(path: &Path) -> Result<UnixStream, DialError> {
    UnixStream::connect(path).await.map_err(|error| {
        let path = path.display();
        match error.kind() {
            io::ErrorKind::NotFound => DialError::unreachable(format!(
                "there is no socket {path}: is dockerd running (`systemctl start docker`)? Else name the engine with --host or $DOCKER_HOST"
            )),
            io::ErrorKind::PermissionDenied => DialError::denied(format!(
                "no permission on {path}: run with sudo, or add yourself to its group (`usermod -aG docker $USER`, then log in again)"
            )),
            io::ErrorKind::ConnectionRefused => DialError::unreachable(format!(
                "nobody listens on {path}: the engine has stopped (`systemctl status docker` says why)"
            )),
            _ => DialError::unreachable(format!("cannot connect to {path}: {error}")),
        }
    })
}

async fn tcp(host: &str, port: u16) -> Result<TcpStream, DialError> {
    let stream = TcpStream::connect((host, port)).await.map_err(|error| {
        DialError::unreachable(match error.kind() {
            io::ErrorKind::ConnectionRefused => {
                format!(
                    "nobody listens on {host}:{port}: does the engine run, and listen there (-H tcp://…)?"
                )
            }
            _ => format!("cannot connect to {host}:{port}: {error}"),
        })
    })?;
    stream.set_nodelay(true).ok();
    Ok(stream)
}

fn tls_config(files: &TlsFiles) -> Result<rustls::ClientConfig, String> {
    let mut roots = rustls::RootCertStore::empty();
    if let Some(ca) = &files.ca {
        for certificate in certificates(ca)? {
            roots.add(certificate).map_err(|e| format!("{}: {e}", ca.display()))?;
        }
    } else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?
        .with_root_certificates(roots);
    match &files.client {
        None => Ok(config.with_no_client_auth()),
        Some((cert, key_file)) => {
            let key = PrivateKeyDer::from_pem_file(key_file)
                .map_err(|e| format!("cannot read the key {}: {e}", key_file.display()))?;
            config
                .with_client_auth_cert(certificates(cert)?, key)
                .map_err(|e| format!("{} and {}: {e}", cert.display(), key_file.display()))
        }
    }
}

fn certificates(file: &PathBuf) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = || CertificateDer::pem_file_iter(file)?.collect::<Result<Vec<_>, _>>();
    match read() {
        Ok(found) if found.is_empty() => Err(format!("there is no certificate in {}", file.display())),
        Ok(found) => Ok(found),
        Err(error) => Err(format!("cannot read certificates from {}: {error}", file.display())),
    }
}

/// The engine's own way through SSH: `docker system dial-stdio` at the other end joins its standard
/// streams with the engine's socket. The user's ssh_config, agent and jump hosts all apply.
fn ssh(to: &SshAddress, words: Arc<Mutex<String>>) -> Result<SshPipe, DialError> {
    let mut command = Command::new("ssh");
    // Never ask for a password: there may be nobody to answer.
    command.args(["-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=15"]);
    if let Some(user) = &to.user {
        command.args(["-l", user]);
    }
    if let Some(port) = to.port {
        command.args(["-p", &port.to_string()]);
    }
    command.args(["--", &to.host, "docker"]);
    if let Some(socket) = &to.socket {
        // The far shell reads this word: only a plain path is let through (see SshAddress).
        command.args(["--host", &format!("unix://{socket}")]);
    }
    command.args(["system", "dial-stdio"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => DialError::unreachable(
            "there is no `ssh` program here: install the OpenSSH client (apt-get install openssh-client)"
                .to_owned(),
        ),
        _ => DialError::unreachable(format!("cannot start ssh: {error}")),
    };
    let mut child = command.spawn().map_err(failed)?;
    let (Some(input), Some(output), Some(mut errors)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(DialError::unreachable("ssh came without its standard streams".to_owned()));
    };
    tokio::spawn(async move {
        let mut buffer = [0; 1024];
        while let Ok(read @ 1..) = errors.read(&mut buffer).await {
            let mut words = words.lock().unwrap_or_else(PoisonError::into_inner);
            if words.len() < SSH_WORDS {
                words.push_str(&String::from_utf8_lossy(&buffer[..read]));
            }
        }
    });
    Ok(SshPipe { input, output, _child: child })
}

struct SshPipe {
    input: ChildStdin,
    output: ChildStdout,
    /// Ends `ssh` when the connection is dropped.
    _child: Child,
}

impl AsyncRead for SshPipe {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.output).poll_read(cx, buf)
    }
}

impl AsyncWrite for SshPipe {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.input).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.input).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.input).poll_shutdown(cx)
    }
}

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// An open connection, whatever it runs over.
pub(super) struct Stream(Box<dyn Duplex>);

impl Stream {
    fn new(inner: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        Self(Box::new(inner))
    }
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_shutdown(cx)
    }
}
