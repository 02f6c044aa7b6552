//! Ways to the engine, and what is said when there is none.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use patchyard_contract::{Provider, ProviderError};
use patchyard_provider_docker::client::{
    Address, ApiError, Client, Endpoint, Environment, Exec, TlsFiles, resolve,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, UnixStream};

use crate::support::{certificates, endpoint, lab, yard, yard_on};

#[tokio::test(flavor = "multi_thread")]
async fn the_engine_says_who_it_is() {
    let yard = yard().await;
    let info = yard.docker.client().get(&["info"]).json().await.unwrap();
    assert_eq!(yard.docker.host().as_str(), info["ID"].as_str().unwrap());
    assert!(yard.docker.describe().starts_with("Docker "), "{}", yard.docker.describe());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_routes_to_one_engine_are_told_from_an_engine_and_its_copy() {
    let (one, again) = (yard().await, yard().await);
    assert_eq!(one.docker.instance().await.unwrap(), again.docker.instance().await.unwrap());

    // An engine that starts again with the id of another one: what a clone of its machine does.
    let name = format!("twin-{}", std::process::id());
    let private = |verb| lab("engine", &[verb, "--private", &name]);
    let at = resolve(Some(&private("start")), &Environment::of_process()).unwrap();
    let _gone = Stopped(name.clone());
    let before = yard_on(at.clone(), None).await;
    let instance = before.docker.instance().await.unwrap();
    private("restart");
    let after = yard_on(at, None).await;
    assert_eq!(before.docker.host(), after.docker.host());
    assert_ne!(instance, after.docker.instance().await.unwrap());
}

/// A private engine that ends with the value.
struct Stopped(String);

impl Drop for Stopped {
    fn drop(&mut self) {
        lab("engine", &["stop", "--private", &self.0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn output_comes_with_its_exit_code_and_within_limits() {
    let yard = yard().await;
    let container = yard.container("patchyard-lab/base:1", serde_json::json!({})).await;
    let client = yard.docker.client();
    let output = client
        .exec(&container.name, &Exec::new(&["sh", "-c", "echo out; echo err >&2; exit 3"]))
        .await
        .unwrap();
    assert_eq!(
        (output.exit, output.stdout.as_slice(), output.stderr.as_slice()),
        (3, &b"out\n"[..], &b"err\n"[..])
    );

    let loud = Exec { limit: 1000, ..Exec::new(&["head", "-c", "5000000", "/dev/zero"]) };
    let output = client.exec(&container.name, &loud).await.unwrap();
    assert_eq!((output.exit, output.stdout.len(), output.truncated), (0, 1000, true));

    let endless = Exec { timeout: std::time::Duration::from_millis(300), ..Exec::new(&["sleep", "100"]) };
    assert!(matches!(client.exec(&container.name, &endless).await, Err(ApiError::Timeout { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_in_a_folder_that_is_not_there_is_not_run() {
    let yard = yard().await;
    let container = yard.container("patchyard-lab/base:1", serde_json::json!({})).await;
    let client = yard.docker.client();
    let touch = |folder| Exec { workdir: Some(folder), ..Exec::new(&["touch", "/tmp/it-ran"]) };
    let error = client.exec(&container.name, &touch("/.patchyard-nowhere")).await.unwrap_err();
    assert_eq!(error, ApiError::NoFolder { folder: "/.patchyard-nowhere".to_owned() });
    assert!(!error.outcome_unknown());
    let ProviderError::NoAnswer { reason, hint } = error.into_provider("local") else { panic!() };
    assert!(
        reason.starts_with("nothing was run: /.patchyard-nowhere") && hint.contains("chroot"),
        "{reason}"
    );
    assert_eq!(client.stat(&container.name, "/tmp/it-ran").await.unwrap(), None);

    assert_eq!(client.exec(&container.name, &touch("/tmp")).await.unwrap().exit, 0);
    assert!(
        client.stat(&container.name, "/tmp/it-ran").await.unwrap().is_some(),
        "the same, where there is one"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_socket_and_a_closed_one_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let at = |path: &Path| Endpoint { address: Address::Unix(path.to_owned()), from: "--host".to_owned() };
    let reason = |error: ApiError| error.to_string();
    let missing = Client::connect(at(&folder.path().join("none.sock"))).await.map(|_| ()).unwrap_err();
    assert!(reason(missing).contains("is dockerd running"));
    let closed = folder.path().join("closed.sock");
    drop(std::os::unix::net::UnixListener::bind(&closed).unwrap());
    let closed = Client::connect(at(&closed)).await.map(|_| ()).unwrap_err();
    assert!(
        matches!(closed, ApiError::Unreachable { .. }) && reason(closed).contains("the engine has stopped")
    );
}

/// The engine's socket behind TLS, as dockerd itself would offer it with --tlsverify.
async fn engine_behind_tls(folder: &Path) -> u16 {
    let Address::Unix(socket) = endpoint().address else { panic!("this test wants an engine on a socket") };
    let read = |name: &str| {
        CertificateDer::pem_file_iter(folder.join(name)).unwrap().collect::<Result<Vec<_>, _>>().unwrap()
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(read("ca.pem").remove(0)).unwrap();
    let clients =
        rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .unwrap();
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(clients)
        .with_single_cert(
            read("server-cert.pem"),
            PrivateKeyDer::from_pem_file(folder.join("server-key.pem")).unwrap(),
        )
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, socket) = (acceptor.clone(), socket.clone());
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut engine = UnixStream::connect(socket).await.unwrap();
                drop(tokio::io::copy_bidirectional(&mut stream, &mut engine).await);
            });
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_spoken_with_the_named_certificates_and_refused_without() {
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path(), "127.0.0.1");
    let port = engine_behind_tls(folder.path()).await;
    let connect = |files: TlsFiles| {
        let address = Address::Tcp { host: "127.0.0.1".to_owned(), port, tls: Some(files) };
        Client::connect(Endpoint { address, from: "--host".to_owned() })
    };
    let ca = Some(folder.path().join("ca.pem"));
    let own = Some((folder.path().join("cert.pem"), folder.path().join("key.pem")));
    let good = connect(TlsFiles { ca: ca.clone(), client: own.clone() }).await.unwrap();
    assert!(good.get(&["info"]).json().await.unwrap()["ID"].is_string());
    for (what, files) in [
        ("no certificate of ours", TlsFiles { ca, client: None }),
        ("a CA that is not known", TlsFiles { ca: None, client: own }),
    ] {
        let error = connect(files).await.map(|_| ()).unwrap_err();
        assert!(matches!(error, ApiError::NotPermitted { .. }), "{what}: {error:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_http_to_a_tls_port_is_an_error_not_a_wait() {
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path(), "127.0.0.1");
    let port = engine_behind_tls(folder.path()).await;
    let address = Address::Tcp { host: "127.0.0.1".to_owned(), port, tls: None };
    assert!(Client::connect(Endpoint { address, from: String::new() }).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_cannot_connect_names_the_host_as_it_was_said() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("docker.sock");
    let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    // Nobody may use it; root may all the same, so an engine that closes at once stands in for it there.
    std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o000)).unwrap();
    let closing = std::thread::spawn(move || drop(listener.accept()));
    let endpoint = Endpoint { address: Address::Unix(socket.clone()), from: "--host".to_owned() };
    let cache = Arc::new(patchyard_cache::FileCache::open(&folder.path().join("cache")).unwrap());
    let options = patchyard_provider_docker::Options {
        controller: "test".to_owned(),
        key: [0; 32],
        cache,
        state_dir: folder.path().to_owned(),
        name: Some("web01".to_owned()),
        memory: Arc::new(()),
        registries: std::collections::BTreeMap::new(),
    };
    let error =
        patchyard_provider_docker::DockerProvider::connect(endpoint, options).await.map(|_| ()).unwrap_err();
    assert!(
        matches!(&error, ProviderError::Unreachable { host, .. } | ProviderError::Denied { host, .. } if host == "web01"),
        "{error:?}"
    );
    drop(UnixStream::connect(&socket).await);
    closing.join().unwrap();
}

/// `ssh` itself is not at hand without an account to log in to: a program of its name takes the same
/// arguments and starts the same command, here instead of over there.
const SSH: &str = "#!/bin/sh\n\
    [ \"$*\" = \"-T -o BatchMode=yes -o ConnectTimeout=15 -l ops -p 2222 -- web01 docker system dial-stdio\" ] || { echo \"$*\" >&2; exit 255; }\n\
    exec docker system dial-stdio\n";

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_behind_ssh_is_reached_through_its_own_command() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("ssh");
    std::fs::write(&program, SSH).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    // The search path belongs to the process: another one runs the test below with its own.
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "transport::behind_ssh"])
        .env("PATH", path)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by the test above, with a search path of its own"]
async fn behind_ssh() {
    let connect = |text: &str| {
        let endpoint = resolve(Some(text), &Environment::default()).unwrap();
        Client::connect(endpoint)
    };
    let client = connect("ssh://ops@web01:2222").await.unwrap();
    assert!(client.get(&["info"]).json().await.unwrap()["ID"].is_string());
    // What `ssh` says is the reason.
    let error = connect("ssh://web02").await.map(|_| ()).unwrap_err();
    assert!(matches!(&error, ApiError::Unreachable { reason } if reason.contains("web02")), "{error:?}");
}
