//! Which files a package manager's configuration leans on: keyrings, certificates, local repositories.

use std::collections::BTreeSet;

/// The most paths that a configuration may name.
const PATHS: usize = 64;
/// The longest path looked at, in bytes.
const PATH: usize = 1024;

/// What the configuration of apt names outside of `/etc/apt`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Named {
    /// Absolute paths: keyrings of `Signed-By`, `CAInfo`, `SslCert`, and whatever else.
    pub files: BTreeSet<String>,
    /// Folders of repositories on the local disk: `file:`, `copy:`.
    pub repositories: BTreeSet<String>,
}

impl Named {
    /// Takes what the text of one file under `/etc/apt` names.
    pub fn read(&mut self, text: &[u8]) {
        let text = String::from_utf8_lossy(text);
        for line in
            text.lines().map(str::trim).filter(|line| !line.starts_with('#') && !line.starts_with("//"))
        {
            for word in line.split(|c: char| c.is_whitespace() || "\"'[]{};,=".contains(c)) {
                self.word(word);
            }
        }
    }

    fn word(&mut self, word: &str) {
        if word.len() > PATH || self.files.len() + self.repositories.len() >= PATHS {
            return;
        }
        let local = ["file:", "copy:", "mirror+file:", "mirror+copy:"]
            .iter()
            .find_map(|scheme| word.strip_prefix(scheme));
        let Some(path) = plain(local.unwrap_or(word)) else { return };
        match local {
            // A list of mirrors is a file; a repository is a folder.
            Some(_) if !word.starts_with("mirror+") => self.repositories.insert(path),
            Some(_) => self.files.insert(path),
            // Options name files too, but a lone word behind a slash is a part of an address rather.
            None if path.matches('/').count() > 1 => self.files.insert(path),
            None => false,
        };
    }
}

/// An absolute path without `..`, patterns and double slashes; `None` for anything else, and for what is
/// copied anyway.
fn plain(path: &str) -> Option<String> {
    if !path.starts_with('/')
        || path.contains(['*', '?', '$', '\0'])
        || path.split('/').any(|part| part == "..")
    {
        return None;
    }
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    let path = format!("/{}", parts.join("/"));
    (!parts.is_empty() && !path.starts_with("/etc/apt/")).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Vec<String>, Vec<String>) {
        let mut named = Named::default();
        named.read(text.as_bytes());
        (named.files.into_iter().collect(), named.repositories.into_iter().collect())
    }

    #[test]
    fn every_way_to_name_a_file_is_found() {
        for (text, files, repositories) in [
            (
                "deb [signed-by=/srv/keys/a.gpg arch=amd64] http://host/x y main",
                vec!["/srv/keys/a.gpg"],
                vec![],
            ),
            (
                "Signed-By: /srv/keys/a.gpg, /srv/keys/b.gpg",
                vec!["/srv/keys/a.gpg", "/srv/keys/b.gpg"],
                vec![],
            ),
            ("Acquire::https::CAInfo \"/srv/ca.pem\";", vec!["/srv/ca.pem"], vec![]),
            ("URIs: file:///srv/repo/", vec![], vec!["/srv/repo"]),
            ("deb copy:/srv/repo ./", vec![], vec!["/srv/repo"]),
            ("deb [trusted=yes] file:/repo lab main", vec![], vec!["/repo"]),
            ("deb file:/ ./", vec![], vec![]),
            ("deb mirror+file:/srv/mirrors.txt x main", vec!["/srv/mirrors.txt"], vec![]),
            ("# deb file:/srv/old ./", vec![], vec![]),
            ("deb http://host/srv/x /etc/apt/keyrings/a.gpg", vec![], vec![]),
            ("deb file:/srv/../etc ./ /var/cache/*.bin /top", vec![], vec![]),
        ] {
            let files: Vec<String> = files.into_iter().map(str::to_owned).collect();
            let repositories: Vec<String> = repositories.into_iter().map(str::to_owned).collect();
            assert_eq!(read(text), (files, repositories), "{text}");
        }
    }

    #[test]
    fn a_hostile_configuration_names_no_more_than_so_many() {
        let many: String = (0..10_000).map(|n| format!("/srv/{n}\n")).collect();
        assert_eq!(read(&many).0.len(), PATHS);
    }
}
