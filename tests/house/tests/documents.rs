//! The documents: a link that leads nowhere fails here, and not in front of a reader.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every document for readers: at the root, in `docs`, in `lab`.
fn documents() -> Vec<PathBuf> {
    ["", "docs", "lab"]
        .iter()
        .flat_map(|folder| fs::read_dir(root().join(folder)).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect()
}

/// The targets of `[words](target)`, but for those on other machines.
fn links(text: &str) -> Vec<&str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    targets.map(|(target, _)| target).filter(|target| !target.contains("://")).collect()
}

/// What a heading is called in links: lower case, dashes for spaces, letters and digits.
fn anchor(heading: &str) -> String {
    let words = heading.trim_start_matches('#').trim().to_lowercase();
    words.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).collect::<String>().replace(' ', "-")
}

fn leads_somewhere(document: &Path, link: &str) -> bool {
    let (file, wanted) = link.split_once('#').unwrap_or((link, ""));
    let place = if file.is_empty() { document.to_owned() } else { document.with_file_name(file) };
    if wanted.is_empty() {
        return place.exists();
    }
    fs::read_to_string(place)
        .is_ok_and(|text| text.lines().any(|line| line.starts_with('#') && anchor(line) == wanted))
}

#[test]
fn every_link_leads_somewhere() {
    let documents = documents();
    let read = |path: &PathBuf| fs::read_to_string(path).unwrap();
    let dead: Vec<String> = documents
        .iter()
        .flat_map(|document| {
            links(&read(document)).into_iter().map(|l| (document, l.to_owned())).collect::<Vec<_>>()
        })
        .filter(|(document, link)| !leads_somewhere(document, link))
        .map(|(document, link)| format!("{}: {link}", document.display()))
        .collect();
    assert!(dead.is_empty(), "dead links:\n{}", dead.join("\n"));
    // Were none found at all, this test would say nothing.
    assert!(documents.iter().map(|document| links(&read(document)).len()).sum::<usize>() > 10);
}

#[test]
fn every_page_of_the_guide_is_linked_from_its_index() {
    let index = fs::read_to_string(root().join("docs/guide.md")).unwrap();
    let linked = links(&index);
    for page in documents().iter().filter(|path| path.parent().is_some_and(|p| p.ends_with("docs"))) {
        let name = page.file_name().unwrap().to_str().unwrap();
        assert!(name == "guide.md" || linked.contains(&name), "docs/guide.md has no link to {name}");
    }
}
