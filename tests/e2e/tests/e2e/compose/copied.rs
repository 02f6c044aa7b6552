//! Configs and secrets that Compose 2 copies into a container after it has created it: no setting tells of them.

use patchyard_e2e_tests::Compose;

use super::project::Project;
use super::{apply, controller, recreated};

const FILE: &str = r#"
services:
  app:
    image: IMAGE0
    ports: ['127.0.0.1:PORT:8080']
    configs:
      - {source: inline, target: /etc/deep/er/inline.conf, uid: '1000', gid: '1001', mode: 0440}
      - named
    secrets:
      - from_environment
      - {source: from_environment, target: /srv/key}
configs:
  inline:
    content: |
      colour = ${COLOUR:-green}
  named: {content: by its name}
secrets: {from_environment: {environment: LAB_SECRET}}
"#;
const FILES: [(&str, &str); 4] = [
    ("/etc/deep/er/inline.conf", "colour = green\n"),
    ("/named", "by its name"),
    ("/run/secrets/from_environment", "hush"),
    ("/srv/key", "hush"),
];

fn all_there(project: &Project) {
    for (path, text) in FILES {
        assert_eq!(project.exec("app", &["cat", path]), text, "{path}");
    }
    let looks = project.exec("app", &["stat", "-c", "%u:%g %a", FILES[0].0]);
    assert_eq!(looks, "1000:1001 440\n");
}

/// Copies what Compose 2 copies, with files and settings as `more` says.
fn copies_come_along(file: &str, more: &[(&str, &str)]) {
    let two = Compose::two();
    let project = Project::with_files(&two, &["web-many-01"], file, more);
    all_there(&project);
    let mounts = project.containers()["app/1"].inspect["Mounts"].clone();
    assert_eq!(mounts, serde_json::json!([]), "they are copies");

    let controller = controller(&project, "");
    apply(&controller, &project).expect(0);
    assert_eq!(project.answer(), "lab-good-01 1.1\n");
    all_there(&project);
    let before = project.ids();
    project.run(&["up", "-d"]);
    assert_eq!(recreated(&before, &project.ids()), [""; 0]);
    // Compose copies them anew into what it starts.
    project.run(&["stop"]);
    project.run(&["up", "-d"]);
    all_there(&project);

    controller.run(["rollback", "--yes", "R1"]).expect(0);
    assert_eq!(project.answer(), "lab-good-01 1.0\n");
    all_there(&project);
    // It runs the image of a snapshot now, which has the secrets in it: no tag of others follows that one.
    apply(&controller, &project).expect(0);
    assert_eq!(project.tags_have_moved(), [false]);
    let before = project.ids();
    project.run(&["up", "-d"]);
    assert_eq!(recreated(&before, &project.ids()), [""; 0]);
    assert_eq!(project.answer(), "lab-good-01 1.1\n");
    all_there(&project);
    project.run(&["up", "-d", "--force-recreate"]);
    assert_eq!(project.answer(), "lab-good-01 1.0\n");
    all_there(&project);
}

#[test]
#[ignore = "wants Compose 2, which lab/compose builds"]
fn they_come_along_there_and_back() {
    copies_come_along(FILE, &[]);
}

#[test]
#[ignore = "wants Compose 2, which lab/compose builds"]
fn those_that_a_file_names_which_is_included_or_extended_do_too() {
    let (services, definitions) = FILE.split_once("\nconfigs:\n").unwrap();
    let base = services.replace("  app:", "  base:");
    let app =
        format!("services: {{app: {{extends: {{file: base.yml, service: base}}}}}}\nconfigs:\n{definitions}");
    copies_come_along("include: [app.yml]\n", &[("app.yml", &app), ("base.yml", &base)]);
}
