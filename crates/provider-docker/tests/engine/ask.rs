//! What is pending, asked in throw-away containers, and packages fetched from there.

use std::time::Duration;

use patchyard_contract::{Ask, PackageCache, Provider, ProviderError};
use patchyard_provider_docker::client::Exec;
use patchyard_types::{PackageChange, PendingPatch, PendingStatus, Target};
use serde_json::json;

use crate::support::{Yard, lab, yard};

async fn pending(yard: &Yard, target: &Target) -> Result<Vec<PendingPatch>, ProviderError> {
    let inventory = yard.docker.inventory(target).await.unwrap();
    yard.docker.pending(target, &inventory, &Ask::default()).await
}

async fn pending_on(image: &str) -> Result<Vec<PendingPatch>, ProviderError> {
    let yard = yard().await;
    let container = yard.container(image, json!({})).await;
    let answer = pending(&yard, &yard.target(&container).await).await;
    assert_eq!(yard.left_helpers().await, [""; 0], "nothing is left behind");
    answer
}

pub fn change(patch: &PendingPatch) -> PackageChange {
    PackageChange {
        name: patch.package.clone(),
        arch: patch.arch.clone(),
        from: patch.installed.clone(),
        to: Some(patch.candidate.clone()),
        sha256: patch.sha256,
        security: patch.security,
        size: patch.size,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_version_is_found_with_its_hash_and_fetched_once() {
    let yard = yard().await;
    let container = yard.container("patchyard-lab/web-good:1", json!({})).await;
    let target = yard.target(&container).await;
    let patches = pending(&yard, &target).await.unwrap();
    let [patch] = patches.as_slice() else { panic!("{patches:?}") };
    assert_eq!(
        (patch.package.as_str(), patch.installed.as_deref(), patch.candidate.as_str()),
        ("lab-web", Some("1.0"), "1.1")
    );
    assert_eq!(patch.status, PendingStatus::Available);
    let sha256 = patch.sha256.expect("a hash from the signed index");

    yard.docker.fetch(&target, &[change(patch)]).await.unwrap();
    let file = yard.cache.find(&sha256).expect("the cache has it");
    assert_eq!(std::fs::metadata(file).unwrap().len(), patch.size);
    // The engine is not needed a second time: the cache has it.
    drop(container);
    yard.docker.fetch(&target, &[change(patch)]).await.unwrap();
    assert_eq!(yard.left_helpers().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_nobody_offers_is_not_fetched() {
    let yard = yard().await;
    let container = yard.container("patchyard-lab/web-good:1", json!({})).await;
    let target = yard.target(&container).await;
    let mut wanted = change(&pending(&yard, &target).await.unwrap()[0]);
    wanted.to = Some("9.9".to_owned());
    wanted.sha256 = Some(patchyard_types::Digest::of_bytes(b"9.9"));
    let Err(ProviderError::NoAnswer { reason, .. }) = yard.docker.fetch(&target, &[wanted]).await else {
        panic!("fetched")
    };
    assert!(reason.contains("9.9"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_not_those_of_the_plan_are_not_kept() {
    let yard = yard().await;
    let container = yard.container("patchyard-lab/web-good:1", json!({})).await;
    let target = yard.target(&container).await;
    let mut wanted = change(&pending(&yard, &target).await.unwrap()[0]);
    let other = patchyard_types::Digest::of_bytes(b"other");
    wanted.sha256 = Some(other);
    let Err(ProviderError::NoAnswer { reason, .. }) = yard.docker.fetch(&target, &[wanted]).await else {
        panic!("kept")
    };
    assert!(reason.contains("SHA-256"), "{reason}");
    assert_eq!(yard.cache.find(&other), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn real_updates_of_the_distribution_are_found() {
    let patches = pending_on("patchyard-lab/base:1").await.unwrap();
    assert!(
        patches.iter().any(|patch| patch.security && patch.sha256.is_some() && patch.size > 0),
        "{patches:?}"
    );
}

/// To read the lists of a distribution takes longer than the questions about them.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_the_same_sources_is_asked_in_one_helper() {
    let yard = yard().await;
    let plain = yard.container("patchyard-lab/base:1", json!({})).await;
    let holding = yard.container("patchyard-lab/base:1", json!({})).await;
    yard.run(&holding, &["apt-mark", "hold", "liblzma5"]).await;
    let other =
        yard.container("patchyard-lab/base:1", json!({"Env": ["https_proxy=http://127.0.0.1:9"]})).await;
    let (plain, holding) = (yard.target(&plain).await, yard.target(&holding).await);
    let (of_plain, of_holding) = tokio::join!(pending(&yard, &plain), pending(&yard, &holding));
    let status = |patches: &[PendingPatch]| {
        patches
            .iter()
            .find(|patch| patch.package == "liblzma5")
            .expect("it is outdated in the lab's base")
            .status
    };
    let (of_plain, of_holding) = (of_plain.unwrap(), of_holding.unwrap());
    assert_eq!((status(&of_plain), status(&of_holding)), (PendingStatus::Available, PendingStatus::Held));
    let lzma = of_plain.iter().find(|patch| patch.package == "liblzma5").unwrap();
    yard.docker.fetch(&plain, &[change(lzma)]).await.unwrap();
    assert_eq!(yard.helpers().await.len(), 1);

    // Who reaches them in another way has a helper of its own.
    pending(&yard, &yard.target(&other).await).await.unwrap();
    assert_eq!(yard.helpers().await.len(), 2);
    assert_eq!(yard.left_helpers().await, [""; 0]);
}

/// Each has the lists of a distribution on the engine's disk.
#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_of_more_than_four_helpers_goes() {
    let yard = yard().await;
    let mut first = Vec::new();
    for port in 1..=5 {
        let proxy = [format!("http_proxy=http://127.0.0.1:{port}")];
        let container = yard.container("patchyard-lab/web-good:1", json!({ "Env": proxy })).await;
        pending(&yard, &yard.target(&container).await).await.unwrap();
        if port == 1 {
            first = yard.helpers().await;
        }
    }
    let kept = yard.helpers().await;
    assert_eq!((kept.len(), first.len()), (4, 1));
    assert!(!kept.contains(&first[0]), "{first:?} is still among {kept:?}");
    assert_eq!(yard.left_helpers().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_asked_says_why_in_apts_words() {
    for (image, words) in
        [("patchyard-lab/web-unreachable:1", "onnect"), ("patchyard-lab/web-unsigned:1", "not signed")]
    {
        let answer = pending_on(image).await;
        let Err(ProviderError::NoAnswer { reason, hint }) = answer else { panic!("{image}: {answer:?}") };
        assert!(reason.contains(words) && !hint.is_empty(), "{image}: {reason}; {hint}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_with_a_wrong_hash_is_not_fetched() {
    let yard = yard().await;
    let container = yard.container("patchyard-lab/web-wrong-hash:1", json!({})).await;
    let target = yard.target(&container).await;
    let patches = pending(&yard, &target).await.unwrap();
    let refused = yard.docker.fetch(&target, &[change(&patches[0])]).await;
    assert!(matches!(refused, Err(ProviderError::NoAnswer { .. })), "{refused:?}");
    assert_eq!(yard.left_helpers().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_security_version_counts_also_where_a_later_one_has_taken_it_in() {
    let yard = yard().await;
    // 1.1 is a security update; 1.2, from elsewhere, is what would be installed.
    let later = format!("{}/good2:/later:ro", lab("packages", &[]));
    let container =
        yard.container("patchyard-lab/web-security:1", json!({"HostConfig": {"Binds": [later]}})).await;
    let script = "echo 'deb [signed-by=/usr/share/keyrings/lab.gpg] file:/later lab main' > /etc/apt/sources.list.d/later.list";
    yard.run(&container, &["sh", "-c", script]).await;
    let patches = pending(&yard, &yard.target(&container).await).await.unwrap();
    let [patch] = patches.as_slice() else { panic!("{patches:?}") };
    assert_eq!((patch.candidate.as_str(), patch.security), ("1.2", true));
    assert!(!patch.origin.contains("ecurity"), "{}", patch.origin);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_in_the_image_and_one_in_the_container_alone_both_count() {
    let held = pending_on("patchyard-lab/web-held:1").await.unwrap();
    assert_eq!(held.iter().map(|patch| patch.status).collect::<Vec<_>>(), [PendingStatus::Held]);

    let yard = yard().await;
    let container = yard.container("patchyard-lab/web-good:1", json!({})).await;
    yard.run(&container, &["apt-mark", "hold", "lab-web"]).await;
    let held = pending(&yard, &yard.target(&container).await).await.unwrap();
    assert_eq!(held.iter().map(|patch| patch.status).collect::<Vec<_>>(), [PendingStatus::Held]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_targets_own_sources_are_asked_not_the_images() {
    let yard = yard().await;
    let container = yard.container("patchyard-lab/web-good:1", json!({})).await;
    yard.run(&container, &["rm", "/etc/apt/sources.list"]).await;
    assert_eq!(pending(&yard, &yard.target(&container).await).await.unwrap(), []);

    // A repository in a folder that only this container has, its key in another place.
    let script = "cp -r /repo /srv/repo && mkdir /srv/keys && mv /usr/share/keyrings/lab.gpg /srv/keys/ && \
        echo 'deb [signed-by=/srv/keys/lab.gpg] file:/srv/repo lab main' > /etc/apt/sources.list.d/own.list && rm -r /repo";
    yard.run(&container, &["sh", "-c", script]).await;
    let patches = pending(&yard, &yard.target(&container).await).await.unwrap();
    assert_eq!(patches.iter().map(|patch| patch.candidate.as_str()).collect::<Vec<_>>(), ["1.1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_on_a_volume_is_read_where_it_is() {
    let yard = yard().await;
    let more = json!({"Volumes": {"/repo": {}}});
    let container = yard.container("patchyard-lab/web-good:1", more).await;
    let patches = pending(&yard, &yard.target(&container).await).await.unwrap();
    assert_eq!(patches.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_of_another_user_with_the_app_as_entrypoint_is_asked_alike() {
    let patches = pending_on("patchyard-lab/web-nonroot:1").await.unwrap();
    assert_eq!(patches.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_manager_that_never_ends_or_never_stops_talking_is_given_up() {
    let mut yard = yard().await;
    yard.docker = yard.docker.clone().with_patience(Duration::from_secs(5));
    for image in ["patchyard-lab/hostile-hangs:1", "patchyard-lab/hostile-loud:1"] {
        let container = yard.container(image, json!({})).await;
        let answer = pending(&yard, &yard.target(&container).await).await;
        let Err(ProviderError::NoAnswer { reason, .. }) = answer else { panic!("{image}: {answer:?}") };
        assert!(!reason.contains('\x1b'), "{reason:?}");
        assert_eq!(yard.helpers().await, [""; 0], "{image}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_is_dropped_leaves_no_helper() {
    let yard = yard().await;
    let container = yard.container("patchyard-lab/hostile-hangs:1", json!({})).await;
    let target = yard.target(&container).await;
    let inventory = yard.docker.inventory(&target).await.unwrap();
    {
        let ask = Ask::default();
        let asking = yard.docker.pending(&target, &inventory, &ask);
        let mut asking = std::pin::pin!(asking);
        let until_it_is_there = async {
            while yard.helpers().await.is_empty() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::select! {
            answer = &mut asking => panic!("{answer:?}"),
            () = until_it_is_there => {}
        }
    }
    assert_eq!(yard.left_helpers().await, [""; 0]);
}

/// An engine in a hand-made chroot runs commands in the host's root: there this folder is not.
#[tokio::test(flavor = "multi_thread")]
async fn commands_run_in_a_folder_that_only_their_helper_has() {
    let mut yard = yard().await;
    yard.docker = yard.docker.clone().with_patience(Duration::from_secs(60));
    let container = yard.container("patchyard-lab/hostile-hangs:1", json!({})).await;
    let (target, client) = (yard.target(&container).await, yard.docker.client());
    let running = async {
        loop {
            for helper in yard.helpers().await {
                let argv = ["sh", "-c", "for cwd in /proc/[0-9]*/cwd; do readlink $cwd; done"];
                let exec = Exec { user: Some("0"), ..Exec::new(&argv) };
                // Not started yet, perhaps.
                let Ok(output) = client.exec(helper.trim_start_matches('/'), &exec).await else { continue };
                let folders = String::from_utf8(output.stdout).unwrap();
                if let Some(folder) = folders.lines().find(|folder| folder.starts_with("/.patchyard-")) {
                    return folder.to_owned();
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let folder = tokio::select! {
        answer = pending(&yard, &target) => panic!("{answer:?}"),
        folder = running => folder,
    };
    assert_eq!(client.stat(&container.name, &folder).await.unwrap(), None, "not in the target");
    assert!(!std::path::Path::new(&folder).exists(), "not on this machine");
    yard.docker.settle().await;
}
