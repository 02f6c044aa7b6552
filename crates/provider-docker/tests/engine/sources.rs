//! Every kind of package source: https with a private CA, credentials, a proxy, lists of mirrors.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use patchyard_contract::{Ask, Provider};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::{Container, Yard, certificates, yard};

/// `user:password` as a client sends it.
const CREDENTIALS: &str = "Authorization: Basic bGFiOnNlY3JldA==";

/// Serves a folder, over TLS where it has certificates; keeps the first lines of all requests.
struct Server {
    port: u16,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn start(address: &str, folder: PathBuf, tls: Option<&Path>, wants_credentials: bool) -> Self {
        let listener = TcpListener::bind((address, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests: Arc<Mutex<Vec<String>>> = Arc::default();
        let acceptor = tls.map(acceptor);
        let seen = Arc::clone(&requests);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, seen, folder) = (acceptor.clone(), Arc::clone(&seen), folder.clone());
                tokio::spawn(async move {
                    match acceptor {
                        Some(acceptor) => {
                            if let Ok(stream) = acceptor.accept(stream).await {
                                answer(stream, &folder, wants_credentials, &seen).await;
                            }
                        }
                        None => answer(stream, &folder, wants_credentials, &seen).await,
                    }
                });
            }
        });
        Self { port, requests }
    }

    fn seen(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

fn acceptor(folder: &Path) -> tokio_rustls::TlsAcceptor {
    let certificates = CertificateDer::pem_file_iter(folder.join("server-cert.pem")).unwrap();
    let certificates = certificates.collect::<Result<Vec<_>, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_file(folder.join("server-key.pem")).unwrap();
    let config =
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(certificates, key)
            .unwrap();
    tokio_rustls::TlsAcceptor::from(Arc::new(config))
}

/// One request, one answer. A request to a proxy names the whole address; only its path matters here.
async fn answer(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    folder: &Path,
    wants_credentials: bool,
    seen: &Mutex<Vec<String>>,
) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8(head).unwrap();
    let line = head.lines().next().unwrap().to_owned();
    let path = line.split(' ').nth(1).unwrap();
    let path =
        path.split_once("://").map_or(path, |(_, rest)| rest.split_once('/').map_or("", |(_, path)| path));
    let file = std::fs::read(folder.join(path.trim_start_matches('/')));
    seen.lock().unwrap().push(line.clone());
    let (status, body) = match file {
        _ if wants_credentials && !head.lines().any(|line| line == CREDENTIALS) => {
            ("401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"lab\"", Vec::new())
        }
        Ok(body) => ("200 OK", body),
        Err(_) => ("404 Not Found", Vec::new()),
    };
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    drop(stream.write_all(head.as_bytes()).await);
    drop(stream.write_all(&body).await);
    drop(stream.shutdown().await);
}

/// The address of the host that containers on the default bridge reach.
async fn bridge(yard: &Yard) -> String {
    let bridge = yard.docker.client().get(&["networks", "bridge"]).json().await.unwrap();
    let config = &bridge["IPAM"]["Config"][0];
    if let Some(gateway) = config["Gateway"].as_str() {
        return gateway.to_owned();
    }
    // An engine that has just made its bridge does not tell: it takes the first address.
    let subnet = config["Subnet"].as_str().and_then(|subnet| subnet.split('/').next()).unwrap();
    let first = u32::from(subnet.parse::<std::net::Ipv4Addr>().unwrap()) + 1;
    std::net::Ipv4Addr::from(first).to_string()
}

/// A container of the good case, and its repository in a folder of the host instead of in itself.
async fn container_and_repository(yard: &Yard) -> (Container, tempfile::TempDir) {
    let container = yard.container("patchyard-lab/web-good:1", json!({})).await;
    let folder = tempfile::tempdir().unwrap();
    let from = format!("{}:/repo", container.name);
    let copied = Command::new("docker").args(["cp", &from]).arg(folder.path()).output().unwrap();
    assert!(copied.status.success());
    yard.run(&container, &["rm", "-r", "/repo"]).await;
    (container, folder)
}

async fn write(yard: &Yard, container: &Container, path: &str, text: &str) {
    let mut archive = patchyard_provider_docker::client::TarWriter::new();
    archive.file(path.trim_start_matches('/'), 0o644, text.as_bytes()).unwrap();
    yard.docker.client().write(&container.name, "/", archive).await.unwrap();
}

/// The pending version, after everything was fetched as well.
async fn ask_and_fetch(yard: &Yard, container: &Container) -> String {
    let target = yard.target(container).await;
    let inventory = yard.docker.inventory(&target).await.unwrap();
    let patches = yard.docker.pending(&target, &inventory, &Ask::default()).await.unwrap();
    let [patch] = patches.as_slice() else { panic!("{patches:?}") };
    let change = crate::ask::change(patch);
    yard.docker.fetch(&target, &[change]).await.unwrap();
    patch.candidate.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn https_with_a_private_ca_and_credentials() {
    let yard = yard().await;
    let (container, repository) = container_and_repository(&yard).await;
    let address = bridge(&yard).await;
    let pki = tempfile::tempdir().unwrap();
    certificates(pki.path(), &address);
    let server = Server::start(&address, repository.path().to_owned(), Some(pki.path()), true).await;

    let source = format!(
        "deb [signed-by=/usr/share/keyrings/lab.gpg] https://{address}:{}/repo lab main\n",
        server.port
    );
    write(&yard, &container, "/etc/apt/sources.list", &source).await;
    let target = yard.target(&container).await;
    let inventory = yard.docker.inventory(&target).await.unwrap();
    let untrusted = yard.docker.pending(&target, &inventory, &Ask::default()).await;
    let Err(patchyard_contract::ProviderError::NoAnswer { hint, .. }) = untrusted else {
        panic!("{untrusted:?}")
    };
    assert!(hint.contains("CA"), "{hint}");

    write(&yard, &container, "/srv/ca.pem", &std::fs::read_to_string(pki.path().join("ca.pem")).unwrap())
        .await;
    write(&yard, &container, "/etc/apt/apt.conf.d/99ca", "Acquire::https::CAInfo \"/srv/ca.pem\";\n").await;
    let login = format!("machine https://{address}:{} login lab password secret\n", server.port);
    write(&yard, &container, "/etc/apt/auth.conf.d/lab.conf", &login).await;
    assert_eq!(ask_and_fetch(&yard, &container).await, "1.1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_of_the_containers_environment() {
    let yard = yard().await;
    let (idle, repository) = container_and_repository(&yard).await;
    drop(idle);
    let address = bridge(&yard).await;
    let proxy = Server::start(&address, repository.path().to_owned(), None, false).await;
    let more = json!({"Env": [format!("http_proxy=http://{address}:{}", proxy.port)]});
    let container = yard.container("patchyard-lab/web-good:1", more).await;
    // Nobody but the proxy knows this name.
    let source = "deb [signed-by=/usr/share/keyrings/lab.gpg] http://packages.invalid/repo lab main\n";
    write(&yard, &container, "/etc/apt/sources.list", source).await;
    assert_eq!(ask_and_fetch(&yard, &container).await, "1.1");
    assert!(
        proxy.seen().iter().any(|line| line.contains("http://packages.invalid/repo/")),
        "{:?}",
        proxy.seen()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_mirrors_outside_of_etc_apt() {
    let yard = yard().await;
    let (container, repository) = container_and_repository(&yard).await;
    let address = bridge(&yard).await;
    let mirror = Server::start(&address, repository.path().to_owned(), None, false).await;
    write(&yard, &container, "/srv/mirrors.txt", &format!("http://{address}:{}/repo\n", mirror.port)).await;
    let source = "deb [signed-by=/usr/share/keyrings/lab.gpg] mirror+file:/srv/mirrors.txt lab main\n";
    write(&yard, &container, "/etc/apt/sources.list", source).await;
    assert_eq!(ask_and_fetch(&yard, &container).await, "1.1");
    assert!(!mirror.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_on_the_containers_own_network() {
    let yard = yard().await;
    let (idle, _repository) = container_and_repository(&yard).await;
    drop(idle);
    let network = yard.network("repo").await;
    let on_network = |alias: &str| {
        json!({"HostConfig": {"NetworkMode": network.name},
            "NetworkingConfig": {"EndpointsConfig": {&network.name: {"Aliases": [alias]}}}})
    };
    // perl is in every Debian image; a few lines of it serve the repository of the image.
    let mut serving = on_network("packages");
    serving["Entrypoint"] = json!(["perl", "-MIO::Socket::INET", "-e", SERVE]);
    let _mirror = yard.container("patchyard-lab/web-good:1", serving).await;
    let container = yard.container("patchyard-lab/web-good:1", on_network("web")).await;
    let source = "deb [signed-by=/usr/share/keyrings/lab.gpg] http://packages:8000/repo lab main\n";
    write(&yard, &container, "/etc/apt/sources.list", source).await;
    assert_eq!(ask_and_fetch(&yard, &container).await, "1.1");
}

/// A web server for one folder, for a container that has nothing but perl.
const SERVE: &str = r#"
my $s = IO::Socket::INET->new(LocalPort => 8000, Listen => 20, ReuseAddr => 1) or die;
while (my $c = $s->accept) {
    my $line = <$c>;
    while (my $h = <$c>) { last if $h eq "\r\n" }
    my ($path) = $line =~ m{^GET (/repo/\S+)};
    if ($path && $path !~ m{\.\.} && open my $f, '<', $path) {
        local $/; my $data = <$f>;
        print $c "HTTP/1.1 200 OK\r\nContent-Length: " . length($data) . "\r\nConnection: close\r\n\r\n$data";
    } else { print $c "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" }
    close $c;
}"#;
