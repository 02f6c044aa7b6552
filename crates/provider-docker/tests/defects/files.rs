//! Files that Compose puts into a container after it has created it.

use std::path::Path;
use std::process::Command;

use patchyard_contract::Provider;
use patchyard_provider_docker::client::TarWriter;
use patchyard_types::{Direction, Probe, Record, Step, SwapStep};

use crate::yard::RealYard;
use crate::{file, naively, preflown, restore, swap};

const PLACES: [&str; 3] = ["/run/secrets/injected", "/etc/app.conf", "/srv/deep/er/key"];

/// A container made by Compose 1 with a secret from a file, which it mounts; and what Compose 2 would put
/// into it, put there: version 1 knows no such configs and secrets, and leaves them out.
async fn composed(folder: &Path) -> RealYard {
    let yard = RealYard::with(|_, _| {}).await;
    yard.remove().await;
    let source = format!(
        "version: '3.7'\nservices:\n  web:\n    image: {}\n    container_name: {}\n    network_mode: bridge\n    \
         secrets: [token, injected, {{source: key, target: /srv/deep/er/key}}]\n    \
         configs: [{{source: app, target: /etc/app.conf}}]\n\
         secrets:\n  token: {{file: ./token}}\n  injected: {{external: true}}\n  key: {{external: true}}\n\
         configs:\n  app: {{external: true}}\n",
        yard.reference, yard.name
    );
    std::fs::write(folder.join("docker-compose.yml"), source).unwrap();
    std::fs::write(folder.join("token"), "from a file\n").unwrap();
    let project = yard.name.replace('-', "");
    let up = Command::new("docker-compose").args(["-p", &project, "up", "-d"]).current_dir(folder).output();
    let up = up.expect("docker-compose is installed: run lab/prepare");
    assert!(up.status.success(), "{}", String::from_utf8_lossy(&up.stderr));

    let mut archive = TarWriter::new();
    for folder in ["srv/deep", "srv/deep/er"] {
        archive.directory(folder, 0o750).unwrap();
    }
    for path in PLACES {
        archive.file(path.trim_start_matches('/'), 0o440, b"injected\n").unwrap();
    }
    yard.client().write(&yard.name, "/", archive).await.unwrap();
    yard.exec(&yard.name, &["chown", "1000:1001", PLACES[0]]).await;
    yard
}

/// Everything is where it was, with its owner and its mode.
async fn all_there(yard: &RealYard) {
    assert_eq!(file(yard, "/run/secrets/token").await, "from a file\n");
    for path in PLACES {
        assert_eq!(file(yard, path).await, "injected\n", "{path}");
    }
    let stat = async |path: &str| yard.exec(&yard.name, &["stat", "-c", "%u:%g %a", path]).await;
    assert_eq!(stat(PLACES[0]).await, "1000:1001 440\n");
    assert_eq!(stat("/srv/deep/er").await, "0:0 750\n");
}

#[tokio::test]
async fn files_that_compose_puts_into_a_container_are_carried() {
    let (of_naive, of_ours) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let naive = composed(of_naive.path()).await;
    let mut ours = composed(of_ours.path()).await;
    all_there(&ours).await;

    naively(&naive, &[]).await.unwrap();
    assert_eq!(file(&naive, "/run/secrets/token").await, "from a file\n", "a mount is a setting");
    for path in PLACES {
        assert_eq!(file(&naive, path).await, "", "{path}");
    }

    assert_eq!(ours.docker.unsaved(&ours.target().await).await.unwrap().paths, [""; 0]);
    let snapshot = swap(&mut ours, 1, &["ENV NEW=1"]).await;
    all_there(&ours).await;
    // Back, where the snapshot has them, and forth again from there.
    restore(&mut ours, 2, &snapshot).await;
    all_there(&ours).await;
    swap(&mut ours, 3, &["ENV NEW=2"]).await;
    all_there(&ours).await;
}

/// What the project's files do not name cannot be told from data: the target is left out of plans.
#[tokio::test]
async fn a_file_that_no_project_names_keeps_a_container_out_of_plans() {
    let folder = tempfile::tempdir().unwrap();
    let ours = composed(folder.path()).await;
    ours.exec(&ours.name, &["sh", "-c", "echo mine > /etc/other.conf"]).await;
    assert_eq!(ours.docker.unsaved(&ours.target().await).await.unwrap().paths, ["/etc/other.conf"]);
    // And so does a file that its project names no more.
    std::fs::write(folder.path().join("docker-compose.yml"), "services: {web: {secrets: [injected]}}")
        .unwrap();
    let mut unsaved = ours.docker.unsaved(&ours.target().await).await.unwrap().paths;
    unsaved.retain(|path| path != "/etc/other.conf");
    assert_eq!(unsaved, ["/etc/app.conf", "/srv/deep/er/key"]);
}

#[tokio::test]
async fn a_copy_that_a_crash_cut_off_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut ours = composed(folder.path()).await;
    let image = ours.plan_image("2", &["ENV NEW=1"]).await;
    let mut hand = preflown(&ours, &image).await;
    let Record::Created { object, .. } = hand.doing(SwapStep::Create).await else { panic!("created") };
    hand.records.remove(&Step::Swap(SwapStep::Create));
    assert!(matches!(hand.probe(SwapStep::Create, Direction::Do).await, Probe::Done { .. }));
    let mut half = TarWriter::new();
    half.file("app.conf", 0o440, b"inj").unwrap();
    ours.client().write(&object, "/etc", half).await.unwrap();
    assert_eq!(hand.probe(SwapStep::Create, Direction::Do).await, Probe::NotDone);
    hand.doing_up_to(SwapStep::Start).await;
    all_there(&ours).await;
    hand.back().await;
    all_there(&ours).await;
}
