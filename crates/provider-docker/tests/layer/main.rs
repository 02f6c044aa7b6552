//! Layers built on a real engine, from images and packages of the lab.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod engine;
mod yard;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use patchyard_contract::{ImageSource, Provider};
use patchyard_types::{FailureKind, Probe, Record, StepError};

use engine::Engine;
use yard::{Yard, deb, layers, settings};

/// Settings that a commit would lose, change or add to.
const SETTINGS: &str = r#"
USER nobody
ENV LAB_COLOUR=green PATH=/usr/local/bin:/usr/bin:/bin
WORKDIR /var/tmp
EXPOSE 9090/udp
VOLUME /data
LABEL lab.note=kept io.patchyard.service=shop
HEALTHCHECK --interval=7s --timeout=3s --start-period=11s --retries=5 CMD ["lab-web-health"]
STOPSIGNAL SIGINT
ONBUILD RUN echo built
SHELL ["/bin/sh", "-exc"]
ENTRYPOINT ["lab-web"]
CMD []
"#;

/// The plan has decided: a builder does not ask a second time which machine an update has reached.
#[tokio::test]
async fn a_planned_update_is_built_wherever_phasing_would_keep_it_back() {
    let never = "RUN echo 0123456789abcdef0123456789abcdef >/etc/machine-id && \
        echo 'APT::Get::Never-Include-Phased-Updates \"true\";' >/etc/apt/apt.conf.d/99never";
    for option in ["", "RUN echo 'APT::Get::Phase-Policy \"true\";' >/etc/apt/apt.conf.d/99policy"] {
        let mut yard = Yard::new("web-ubuntu", &format!("{never}\n{option}")).await;
        let updates = yard::repositories().join("ubuntu/pool");
        yard.change(&updates.join("noble-security/lab-web_1.1_all.deb"), Some("1.0"), "1.1");
        yard.change(&updates.join("noble-updates/lab-half_1.1_all.deb"), Some("1.0"), "1.1");
        yard.patched().await;
        let version = yard.run_in(&yard.patched_tag(), &["cat", "/usr/share/lab-half/version"]);
        assert_eq!(version, "lab-half 1.1");
    }
}

#[tokio::test]
async fn a_patch_is_one_layer_on_the_base_with_its_settings() {
    let mut yard = Yard::new("web-good", SETTINGS).await;
    yard.change(&deb("good", "lab-web", "1.1"), Some("1.0"), "1.1");
    assert_eq!(yard.probe().await, Probe::NotDone);
    let image = yard.patched().await;

    let (below, all) = (layers(&yard.base), layers(&image));
    assert_eq!((all.len(), &all[..below.len()]), (below.len() + 1, &below[..]), "one layer on the base");
    let own = &image["Config"]["Labels"];
    assert_eq!(own["io.patchyard.base"], yard.base["Id"]);
    assert_eq!(own["io.patchyard.patch-set"], yard.plan.decisions.actions[0].patch_set.to_string());
    assert_eq!(own["io.patchyard.reference"], yard.tag.as_str());
    assert_eq!(own["io.patchyard.service"], "shop", "the operator's own labels stay");
    let (mut was, mut is) = (settings(&yard.base), settings(&image));
    for config in [&mut was, &mut is] {
        config["config"]["Labels"].as_object_mut().unwrap().remove("io.patchyard.service");
    }
    assert_eq!(is, was);
    assert_eq!(is["config"]["OnBuild"], serde_json::json!(["RUN echo built"]), "the settings say something");
    let (before, after) = (yard.history(&yard.tag).await, yard.history(&yard.patched_tag()).await);
    assert_eq!((&after[0], &after[1..]), (&"patchyard".to_owned(), &before[..]));
    assert_eq!(yard.objects(), [yard.patched_tag()], "neither builder nor intermediate image is left");
    assert!(yard.served_by(&yard.patched_tag()).contains("1.1"));
    assert_eq!(yard.run_in(&yard.patched_tag(), &["id", "-un"]), "nobody");
    assert!(yard.served_by(&yard.tag).contains("1.0"), "the base is what it was");
}

#[tokio::test]
async fn the_layer_holds_the_packages_and_no_trace_of_the_work() {
    let yard = Yard::of_case("good").await;
    yard.patched().await;
    let files = |image: &str| {
        let found =
            yard.run_in(image, &["find", "/", "-xdev", "-not", "-path", "/proc/*", "-printf", "%p %m %U\n"]);
        let of_engine = |path: &&str| !["/etc/hostname", "/etc/hosts", "/etc/resolv.conf"].contains(path);
        found.lines().filter(of_engine).map(str::to_owned).collect::<std::collections::BTreeSet<_>>()
    };
    let (before, after) = (files(&yard.tag), files(&yard.patched_tag()));
    let new: Vec<_> = after.difference(&before).collect();
    let gone: Vec<_> = before.difference(&after).collect();
    let books = ["/var/lib/dpkg/", "/var/lib/apt/", "/var/cache/debconf/"];
    assert!(new.iter().all(|path| books.iter().any(|book| path.starts_with(book))), "new: {new:?}");
    assert!(gone.is_empty(), "gone: {gone:?}");
}

#[tokio::test]
async fn what_is_built_is_used_again() {
    let yard = Yard::of_case("good").await;
    // Two at a time, then one more.
    let (one, other) = tokio::join!(yard.prepare(), yard.prepare());
    let again = yard.prepare().await;
    assert_eq!(one, other);
    assert_eq!(one, again);
    let Ok(Record::Prepared { size, .. }) = one else { panic!("{one:?}") };
    assert!(size > 10_000, "a layer takes room: {size}");
    assert_eq!(yard.objects(), [yard.patched_tag()]);
    // A tag that somebody took away comes back, the image is the same.
    yard.docker(&["tag", &yard.patched_tag(), &format!("{}-other", yard.tag)]);
    yard.docker(&["rmi", &yard.patched_tag()]);
    assert_eq!(yard.probe().await, Probe::NotDone);
    assert_eq!(yard.prepare().await, again);
    yard.docker(&["rmi", &format!("{}-other", yard.tag)]);
}

#[tokio::test]
async fn patching_again_starts_from_the_base() {
    let yard = Yard::of_case("good").await;
    let first = yard.patched().await;
    let mut again = Yard::new("web-good", "").await;
    let expected = &mut again.action().expected;
    expected.image = first["Id"].as_str().unwrap().to_owned();
    expected.base = Some(yard.base["Id"].as_str().unwrap().to_owned());
    expected.reference = yard.tag.clone();
    again.change(&deb("good2", "lab-web", "1.2"), Some("1.0"), "1.2");
    let second = again.patched().await;
    assert_eq!(layers(&second)[..layers(&second).len() - 1], layers(&yard.base)[..]);
    assert_ne!(layers(&second), layers(&first));
    assert_eq!(second["Config"]["Labels"]["io.patchyard.base"], yard.base["Id"]);
    let tag = second["RepoTags"][0].as_str().unwrap();
    assert!(again.served_by(tag).contains("1.2"));
}

#[tokio::test]
async fn questions_are_answered_by_nobody() {
    let yard = Yard::of_case("debconf").await;
    yard.patched().await;
    assert_eq!(yard.run_in(&yard.patched_tag(), &["cat", "/etc/lab-web.colour"]), "green");
}

#[tokio::test]
async fn a_script_that_fails_is_blamed_with_its_words() {
    let failure = Yard::of_case("postinst-fails").await.fails().await;
    assert_eq!(failure.kind, FailureKind::PackageManager);
    assert!(failure.message.contains("lab-web: cannot migrate its data"), "{failure}");
}

#[tokio::test]
async fn a_script_that_hangs_goes_with_its_builder() {
    let yard = Yard::of_case("postinst-hangs").await;
    let given_up = tokio::time::timeout(Duration::from_secs(5), yard.prepare()).await;
    assert!(given_up.is_err(), "{given_up:?}");
    yard.provider.settle().await;
    assert_eq!(yard.objects(), Vec::<String>::new());
    assert_eq!(yard.probe().await, Probe::NotDone);
}

#[tokio::test]
async fn a_builder_that_was_given_up_goes_by_itself() {
    let yard = Yard::of_case("postinst-hangs").await;
    let builder = yard.builder();
    tokio::select! {
        outcome = yard.prepare() => panic!("{outcome:?}"),
        () = async {
            while yard.docker(&["ps", "-q", "--filter", &format!("name={builder}")]).is_empty() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        } => {}
    }
    for _ in 0..600 {
        if yard.objects().is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("still there after a minute: {:?}", yard.objects());
}

#[tokio::test]
async fn a_script_that_does_nothing_for_too_long_is_a_timeout() {
    let mut yard = Yard::of_case("postinst-hangs").await;
    yard.action().timeouts.step = patchyard_types::Millis::from_secs(4);
    assert_eq!(yard.fails().await.kind, FailureKind::Timeout);
}

#[tokio::test]
async fn a_script_that_prints_without_end_is_stopped() {
    let failure = Yard::of_case("postinst-loud").await.fails().await;
    assert_eq!(failure.kind, FailureKind::PackageManager);
    assert!(failure.message.contains("printed more than 16 MiB"), "{failure}");
}

#[tokio::test]
async fn a_dependency_that_does_not_exist_is_refused_in_the_solvers_words() {
    let failure = Yard::of_case("missing-dep").await.fails().await;
    assert_eq!(failure.kind, FailureKind::PackageManager);
    assert!(failure.message.contains("Depends: lab-nonexistent (>= 2)"), "{failure}");
}

#[tokio::test]
async fn a_layer_larger_than_allowed_is_refused_with_both_sizes() {
    let mut yard = Yard::of_case("too-large").await;
    yard.action().max_layer = 32 * 1024 * 1024;
    let failure = yard.fails().await;
    assert_eq!(failure.kind, FailureKind::Refused);
    let (before, after) = failure.message.split_once(" MB, more than the ").unwrap();
    let size: f64 = before.rsplit(' ').next().unwrap().parse().unwrap();
    assert!((67.1..72.0).contains(&size), "{failure}");
    assert!(after.starts_with("33.5 MB that max_layer allows"), "{failure}");
}

#[tokio::test]
async fn a_new_dependency_comes_in_as_one() {
    let mut yard = Yard::of_case("new-dep").await;
    let unplanned = yard.fails().await;
    assert_eq!(unplanned.kind, FailureKind::PackageManager);
    assert!(unplanned.message.contains("lab-web-dep"), "{unplanned}");
    yard.change(&deb("new-dep", "lab-web-dep", "1.0"), None, "1.0");
    yard.patched().await;
    let show = |what: &str| yard.run_in(&yard.patched_tag(), &["apt-mark", what]);
    assert_eq!(show("showauto"), "lab-web-dep");
    assert!(show("showmanual").lines().any(|name| name == "lab-web"));
}

#[tokio::test]
async fn packages_stay_there_for_the_reason_they_were_there_for() {
    let mut yard = Yard::new("web-good", "RUN apt-mark auto lab-web").await;
    yard.change(&deb("good", "lab-web", "1.1"), Some("1.0"), "1.1");
    yard.patched().await;
    assert_eq!(yard.run_in(&yard.patched_tag(), &["apt-mark", "showauto"]), "lab-web");
}

#[tokio::test]
async fn nothing_is_removed_unless_planned() {
    let mut yard = Yard::of_case("removes").await;
    let unplanned = yard.fails().await;
    assert_eq!(unplanned.kind, FailureKind::PackageManager);
    assert!(unplanned.message.contains("remove"), "{unplanned}");
    yard.removal("lab-web-extra", "1.0");
    yard.patched().await;
    let status = yard.run_in(&yard.patched_tag(), &["dpkg-query", "-W", "-f", "${Package} ${Version}\n"]);
    assert!(status.contains("lab-web 1.1") && !status.contains("lab-web-extra"), "{status}");
}

#[tokio::test]
async fn what_is_held_stays() {
    let mut yard = Yard::new("web-held", "").await;
    yard.change(&deb("good", "lab-web", "1.1"), Some("1.0"), "1.1");
    let failure = yard.fails().await;
    assert_eq!(failure.kind, FailureKind::PackageManager);
    assert!(failure.message.contains("Held packages"), "{failure}");
}

#[tokio::test]
async fn bytes_that_are_not_what_was_planned_are_noticed() {
    let mut yard = Yard::new("web-good", "").await;
    yard.change(&deb("good2", "lab-web", "1.2"), Some("1.0"), "1.1");
    let failure = yard.fails().await;
    assert_eq!(failure.kind, FailureKind::PackageManager);
    assert!(failure.message.contains("lab-web is 1.2, not 1.1"), "{failure}");
}

#[tokio::test]
async fn a_plan_for_another_state_is_not_carried_out() {
    let mut yard = Yard::new("web-good", "").await;
    yard.change(&deb("good", "lab-web", "1.1"), Some("0.9"), "1.1");
    let failure = yard.fails().await;
    assert_eq!(failure.kind, FailureKind::Precondition);
    assert!(failure.message.contains("lab-web is 1.0 in the image, not 0.9"), "{failure}");

    let mut gone = Yard::of_case("good").await;
    gone.action().expected.image = format!("sha256:{}", "0".repeat(64));
    assert_eq!(gone.fails().await.kind, FailureKind::Precondition);
}

#[tokio::test]
async fn bytes_that_the_cache_has_lost_are_no_fault_of_the_patch() {
    let mut yard = Yard::new("web-good", "").await;
    yard.change(&deb("good", "lab-web", "1.1"), Some("1.0"), "1.1");
    yard.cache.prune(&std::collections::BTreeSet::new(), Duration::ZERO).unwrap();
    let failure = yard.fails().await;
    assert_eq!(failure.kind, FailureKind::Host);
    assert!(failure.message.contains("lab-web 1.1 is not in the cache: plan again"), "{failure}");
}

#[tokio::test]
async fn what_a_crash_has_left_is_in_nobodys_way() {
    let yard = Yard::of_case("good").await;
    let builder = yard.builder();
    yard.docker(&["run", "-d", "--name", &builder, "--entrypoint", "sleep", &yard.tag, "600"]);
    let mark = format!("LABEL io.patchyard.intermediate={builder}");
    yard.docker(&["commit", "--change", &mark, &builder]);
    yard.patched().await;
    assert_eq!(yard.objects(), [yard.patched_tag()]);
}

#[tokio::test]
async fn a_hostile_package_is_installed_like_any_other() {
    let yard = Yard::of_case("hostile").await;
    yard.patched().await;
    assert!(yard.served_by(&yard.patched_tag()).contains("1.1"));
    assert_eq!(yard.run_in(&yard.patched_tag(), &["find", "/tmp", "-mindepth", "1"]), "");
}

#[tokio::test]
async fn an_image_that_another_host_has_is_moved_not_built_again() {
    let here = Yard::of_case("good").await;
    let engine = Engine::start("move");
    engine.copy(&here.tag);
    let built = here.prepare().await.unwrap();
    let Record::Prepared { image, .. } = &built else { panic!("{built:?}") };
    let there = here.twin(&engine.host).await;
    // Nothing to build with: it can only have been moved.
    here.cache.prune(&std::collections::BTreeSet::new(), Duration::ZERO).unwrap();
    let mut call = there.call();
    let provider = Arc::new(here.provider.clone());
    call.source = Some(ImageSource { provider: provider.clone(), image: image.clone() });
    let moved = there.provider.perform(&call).await.unwrap();
    assert_eq!(moved, built);
    assert_eq!(there.probe().await, Probe::Done { record: built });
    assert!(there.served_by(&there.patched_tag()).contains("1.1"));
    assert_eq!(there.objects(), [there.patched_tag()]);

    // Another image under that name is not taken.
    there.docker(&["rmi", &there.patched_tag()]);
    call.source = Some(ImageSource { provider, image: here.base["Id"].as_str().unwrap().to_owned() });
    let refused = there.provider.perform(&call).await;
    assert!(
        matches!(&refused, Err(StepError::Failed(failure)) if failure.kind == FailureKind::Host),
        "{refused:?}"
    );
    assert_eq!(there.objects(), Vec::<String>::new());
    assert!(there.image(&there.tag).await.is_some(), "what was there already stays");
}

#[tokio::test]
async fn a_full_disk_is_no_fault_of_the_patch() {
    let folder = std::env::temp_dir().join(format!("patchyard-layer-full-{}", std::process::id()));
    // Much larger than its file: that it does not fit shows only when it is unpacked.
    let package = package(&folder, "lab-zeros", |tree| {
        std::fs::File::create(tree.join("zeros")).unwrap().set_len(400 << 20).unwrap();
    });
    let Some(engine) = Engine::start_small("full", 300) else { return };
    let mut here = Yard::new("web-good", "").await;
    engine.copy(&here.tag);
    here.change(&package, None, "1");
    let there = here.twin(&engine.host).await;
    let failure = there.fails().await;
    assert_eq!(failure.kind, FailureKind::NoSpace, "{failure}");
    assert!(failure.message.contains("No space left on device"), "{failure}");

    // And where it can be foreseen, nothing is started.
    let mut large = here.twin(&engine.host).await;
    large.change(&deb("too-large", "lab-web", "1.1"), Some("1.0"), "1.1");
    let failure = large.fails().await;
    assert_eq!(failure.kind, FailureKind::NoSpace, "{failure}");
    assert!(failure.message.contains("not enough room"), "{failure}");
    std::fs::remove_dir_all(folder).unwrap();
}

/// Makes a package of a test's own.
fn package(folder: &Path, name: &str, fill: impl Fn(&Path)) -> PathBuf {
    let tree = folder.join(name);
    std::fs::create_dir_all(tree.join("DEBIAN")).unwrap();
    let fields = format!(
        "Package: {name}\nVersion: 1\nArchitecture: all\nMaintainer: Lab <lab@example.invalid>\nDescription: lab\n"
    );
    std::fs::write(tree.join("DEBIAN/control"), fields).unwrap();
    fill(&tree);
    let deb = folder.join(format!("{name}_1_all.deb"));
    let mut build = Command::new("dpkg-deb");
    let built = build.args(["--root-owner-group", "-Zgzip", "--build"]).arg(tree).arg(&deb).output().unwrap();
    assert!(built.status.success(), "{built:?}");
    deb
}

#[tokio::test]
async fn no_service_starts_in_a_builder_whatever_the_image_allows() {
    let folder = std::env::temp_dir().join(format!("patchyard-layer-asks-{}", std::process::id()));
    // Its script asks, as `invoke-rc.d` does, whether it may start its service.
    let package = package(&folder, "lab-asks", |tree| {
        let script = tree.join("DEBIAN/postinst");
        std::fs::write(&script, "#!/bin/sh\n/usr/sbin/policy-rc.d lab start\necho $? >/etc/lab-asks\n")
            .unwrap();
        std::fs::set_permissions(&script, Permissions::from_mode(0o755)).unwrap();
    });
    for (instructions, afterwards) in [
        ("", "#!/bin/sh exit 101"),
        ("RUN rm /usr/sbin/policy-rc.d", ""),
        ("RUN echo 'exit 0 # all may start' >/usr/sbin/policy-rc.d", "exit 0 # all may start"),
    ] {
        let mut yard = Yard::new("web-good", instructions).await;
        yard.change(&package, None, "1");
        yard.patched().await;
        assert_eq!(yard.run_in(&yard.patched_tag(), &["cat", "/etc/lab-asks"]), "101", "{instructions}");
        let policy = ["sh", "-c", "test ! -e /usr/sbin/policy-rc.d || cat /usr/sbin/policy-rc.d"];
        let found = yard.run_in(&yard.patched_tag(), &policy);
        assert_eq!(found.split_whitespace().collect::<Vec<_>>().join(" "), afterwards, "{instructions}");
    }
    std::fs::remove_dir_all(folder).unwrap();
}
