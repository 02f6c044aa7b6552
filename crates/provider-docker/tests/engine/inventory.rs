//! What targets have, read through the engine.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use patchyard_contract::{Provider, ProviderError};
use patchyard_types::PackageManager;
use serde_json::json;

use crate::support::{endpoint, yard, yard_with};

#[tokio::test(flavor = "multi_thread")]
async fn the_inventory_is_what_dpkg_itself_says() {
    let yard = yard().await;
    let container = yard.container("patchyard-lab/base:1", json!({})).await;
    let target = yard.target(&container).await;
    let inventory = yard.docker.inventory(&target).await.unwrap();
    let said =
        yard.run(&container, &["dpkg-query", "-W", "-f", "${Package} ${Version} ${Architecture}\n"]).await;
    let said: BTreeSet<String> = said.lines().map(str::to_owned).collect();
    let read: BTreeSet<String> =
        inventory.packages.iter().map(|p| format!("{} {} {}", p.name, p.version, p.arch)).collect();
    assert_eq!(read, said);
    assert!(read.len() > 50);
    assert_eq!((inventory.package_manager, inventory.os), (Some(PackageManager::Apt), target.os));
    assert!(inventory.starting.platform.starts_with("linux/"), "{}", inventory.starting.platform);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_starting_state_is_shared_until_something_that_decides_differs() {
    let yard = yard().await;
    let state = |container| {
        let yard = &yard;
        async move { yard.docker.inventory(&yard.target(container).await).await.unwrap().starting }
    };
    let one = yard.container("patchyard-lab/base:1", json!({})).await;
    let other = yard.container("patchyard-lab/base:1", json!({"Env": ["A=1"]})).await;
    let first = state(&one).await;
    assert_eq!(state(&other).await, first);
    yard.run(&one, &["sh", "-c", "echo 'machine x login y password z' > /etc/apt/auth.conf"]).await;
    assert_eq!(state(&one).await, first, "credentials decide nothing");
    yard.run(&one, &["sh", "-c", "echo '# a remark' >> /etc/apt/sources.list"]).await;
    let changed = state(&one).await;
    assert_ne!(changed, first);
    yard.run(&one, &["apt-mark", "hold", "dpkg"]).await;
    assert_ne!(state(&one).await, changed);
}

/// Where they are the same one package manager answers about the packages of another: no two that might be answered differently.
#[tokio::test(flavor = "multi_thread")]
async fn sources_are_the_same_whatever_is_installed_and_not_with_other_credentials() {
    let yard = yard().await;
    let one = yard.container("patchyard-lab/base:1", json!({})).await;
    let sources = async || yard.docker.inventory(&yard.target(&one).await).await.unwrap().sources;
    let first = sources().await;
    assert!(first.is_some());
    yard.run(&one, &["apt-mark", "hold", "liblzma5"]).await;
    assert_eq!(sources().await, first);
    yard.run(&one, &["sh", "-c", "echo 'machine x login y password z' > /etc/apt/auth.conf"]).await;
    let with_credentials = sources().await;
    assert!(with_credentials.is_some() && with_credentials != first);
    yard.run(&one, &["sh", "-c", "echo 'deb file:/srv/repo ./' >> /etc/apt/sources.list"]).await;
    assert_eq!(sources().await, None, "files of its own");
}

/// Images on one base differ in what is no business of package managers, unless the base's sources lean on files.
#[tokio::test(flavor = "multi_thread")]
async fn what_package_managers_know_is_the_same_in_images_that_differ_in_other_things() {
    let yard = yard().await;
    let packages = async |change: &str| {
        let maker = yard.container("patchyard-lab/base:1", json!({})).await;
        yard.run(&maker, &["sh", "-ec", change]).await;
        let container = yard.container(&yard.image_of(&maker).await.name, json!({})).await;
        yard.docker.inventory(&yard.target(&container).await).await.unwrap().starting.packages
    };
    assert_eq!(packages("echo 1 > /srv/one").await, packages("echo 2 > /srv/two").await);
    let local = |file: &str| {
        format!("mkdir -p /srv/repo; echo 'deb file:/srv/repo ./' > /etc/apt/sources.list; echo 1 > {file}")
    };
    assert_ne!(packages(&local("/srv/repo/one")).await, packages(&local("/srv/repo/two")).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_container_has_changed_is_seen_where_its_image_has_moved_the_database() {
    let yard = yard().await;
    let maker = yard.container("patchyard-lab/base:1", json!({})).await;
    yard.run(&maker, &["sh", "-ec", "mv /var/lib/dpkg /srv/db && ln -s ../../srv/db /var/lib/dpkg"]).await;
    let image = yard.image_of(&maker).await;
    let (one, other) =
        (yard.container(&image.name, json!({})).await, yard.container(&image.name, json!({})).await);
    let state =
        async |container| yard.docker.inventory(&yard.target(container).await).await.unwrap().starting;
    let first = state(&one).await;
    assert!(first.packages.is_some());
    assert_eq!(state(&other).await, first);
    yard.run(&other, &["apt-mark", "hold", "dpkg"]).await;
    assert_ne!(state(&other).await, first);
    assert_eq!(state(&one).await, first);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_image_has_is_read_once_and_what_a_container_has_changed_always() {
    let maker = yard().await;
    let info: serde_json::Value = maker.docker.client().get(&["info"]).json().await.unwrap();
    if info["Driver"] != "overlay2" {
        eprintln!(
            "not run: what a container has changed is seen on overlay2 alone, and always read elsewhere"
        );
        return;
    }
    let changed = maker.container("patchyard-lab/base:1", json!({})).await;
    maker.run(&changed, &["touch", "/etc/of-an-image-of-its-own"]).await;
    let image = maker.image_of(&changed).await;
    let container = maker.container(&image.name, json!({})).await;
    let memory = Arc::new(Mutex::<BTreeMap<String, String>>::default());
    let look = async || {
        let yard = yard_with(endpoint(), None, memory.clone()).await;
        let target = yard.target(&container).await;
        (yard.docker.inventory(&target).await.unwrap(), target.image.id)
    };
    let (read, id) = look().await;
    // What another look reads is told from what it remembers by a package that there is not.
    for fact in memory.lock().unwrap().iter_mut().filter(|(key, _)| key.contains(&id)).map(|(_, fact)| fact) {
        *fact = fact.replace("\"dpkg\"", "\"remembered\"").replace("\"debian\"", "\"remembered\"");
    }
    let (recalled, _) = look().await;
    assert!(recalled.packages.iter().any(|package| package.name == "remembered"));
    assert_eq!(recalled.packages.len(), read.packages.len());
    assert_eq!(recalled.os.unwrap().id, "remembered");

    maker.run(&container, &["apt-mark", "hold", "dpkg"]).await;
    maker.run(&container, &["sh", "-c", "echo ID=other > /etc/os-release"]).await;
    let (changed, _) = look().await;
    assert!(changed.packages.iter().any(|package| package.name == "dpkg" && package.held));
    assert_eq!(changed.os.unwrap().id, "other");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_without_package_manager_is_read_and_not_asked() {
    let yard = yard().await;
    let container = yard.container("patchyard-lab/scratch-app:1", json!({})).await;
    let target = yard.target(&container).await;
    let inventory = yard.docker.inventory(&target).await.unwrap();
    assert_eq!(
        (inventory.package_manager, inventory.packages.len(), inventory.starting.packages),
        (None, 0, None)
    );
    let asked = yard.docker.pending(&target, &inventory, &patchyard_contract::Ask::default()).await;
    let Err(ProviderError::NoAnswer { reason, hint }) = asked else { panic!("{asked:?}") };
    assert_eq!((reason.as_str(), hint.as_str()), ("no package manager", ""), "it was not pulled");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_container_is_read_too() {
    let yard = yard().await;
    let container = yard.created(&crate::support::unique("created"), "patchyard-lab/base:1", json!({})).await;
    let inventory = yard.docker.inventory(&yard.target(&container).await).await.unwrap();
    assert!(inventory.packages.iter().any(|package| package.name == "dpkg"));
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_databases_harm_nothing() {
    let yard = yard().await;
    for image in ["patchyard-lab/hostile-names:1", "patchyard-lab/hostile-huge:1"] {
        let container = yard.container(image, json!({})).await;
        let target = yard.target(&container).await;
        match yard.docker.inventory(&target).await {
            Ok(inventory) => {
                for package in inventory.packages.iter() {
                    assert!(
                        package.name.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c)),
                        "{image}"
                    );
                    assert!(package.version.chars().all(|c| c.is_ascii_graphic() && c != '$'), "{image}");
                }
            }
            Err(ProviderError::NoAnswer { reason, .. }) => {
                assert!(reason.contains("more than 100000 packages"), "{reason}")
            }
            Err(error) => panic!("{image}: {error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_a_gigabyte_is_refused_with_its_reason() {
    let yard = yard().await;
    let container = yard.container("patchyard-lab/base:1", json!({})).await;
    yard.run(&container, &["truncate", "-s", "1G", "/var/lib/dpkg/status"]).await;
    let refused = yard.docker.inventory(&yard.target(&container).await).await;
    let Err(ProviderError::NoAnswer { reason, .. }) = refused else { panic!("not refused") };
    assert!(reason.contains("larger than 256 MiB"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_is_gone_is_said_to_be() {
    let yard = yard().await;
    let container = yard.container("patchyard-lab/base:1", json!({})).await;
    let target = yard.target(&container).await;
    drop(container);
    for answer in
        [yard.docker.inventory(&target).await.map(|_| ()), yard.docker.unsaved(&target).await.map(|_| ())]
    {
        assert!(matches!(answer, Err(ProviderError::Gone { .. })), "{answer:?}");
    }
}
