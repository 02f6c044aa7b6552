//! Image references: `registry/repository:tag@digest`, with Docker's defaults for what is left out.

/// An image reference taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reference {
    /// The registry's name: `docker.io` where none is given.
    pub registry: String,
    /// The repository: `library/nginx` for `nginx`.
    pub repository: String,
    /// The tag; `latest` where neither tag nor digest is given.
    pub tag: Option<String>,
    /// The digest, `sha256:…`.
    pub digest: Option<String>,
}

impl Reference {
    /// Takes a reference apart; `None` when it is an image id or no reference at all.
    pub fn parse(text: &str) -> Option<Self> {
        if text.starts_with("sha256:") || is_hex(text, 64) || text.len() > 1024 {
            return None;
        }
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest)),
            None => (text, None),
        };
        if digest.is_some_and(|digest| digest.strip_prefix("sha256:").is_none_or(|hex| !is_hex(hex, 64))) {
            return None;
        }
        // A colon behind the last slash is a tag's, one before it a port's.
        let (name, tag) = match name.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (name, None),
        };
        let (registry, repository) = match name.split_once('/') {
            Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => {
                (first, rest.to_owned())
            }
            Some(_) => ("docker.io", name.to_owned()),
            None => ("docker.io", format!("library/{name}")),
        };
        let registry = if registry == "index.docker.io" { "docker.io" } else { registry };
        let of = |chars: &'static str| move |c: char| c.is_ascii_alphanumeric() || chars.contains(c);
        let good = !registry.is_empty()
            && registry.chars().all(of(".-:[]"))
            && repository.split('/').all(|part| !part.is_empty() && part.chars().all(of("._-")))
            && tag.is_none_or(|tag| !tag.is_empty() && tag.len() <= 128 && tag.chars().all(of("._-")));
        let tag = tag.or(if digest.is_none() { Some("latest") } else { None });
        good.then(|| Self {
            registry: registry.to_owned(),
            repository,
            tag: tag.map(str::to_owned),
            digest: digest.map(str::to_owned),
        })
    }

    /// Whether an entry of an image's `RepoDigests` (`repository@sha256:…`) is of this repository, and
    /// the digest in it.
    pub fn digest_in<'a>(&self, entry: &'a str) -> Option<&'a str> {
        let (_, digest) = entry.split_once('@')?;
        let other = Self::parse(entry)?;
        (other.registry == self.registry && other.repository == self.repository).then_some(digest)
    }
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::Reference;

    #[test]
    fn what_is_left_out_is_what_docker_means_by_it() {
        let hex = "a".repeat(64);
        for (text, registry, repository, tag) in [
            ("nginx", "docker.io", "library/nginx", Some("latest")),
            ("nginx:1.27", "docker.io", "library/nginx", Some("1.27")),
            ("index.docker.io/team/app", "docker.io", "team/app", Some("latest")),
            ("localhost/app", "localhost", "app", Some("latest")),
            ("127.0.0.1:5000/a/b:c", "127.0.0.1:5000", "a/b", Some("c")),
            ("reg.example:5000/a", "reg.example:5000", "a", Some("latest")),
            (&format!("a@sha256:{hex}"), "docker.io", "library/a", None),
            (&format!("a:1@sha256:{hex}"), "docker.io", "library/a", Some("1")),
        ] {
            let found = Reference::parse(text).unwrap();
            assert_eq!(
                (found.registry.as_str(), found.repository.as_str(), found.tag.as_deref()),
                (registry, repository, tag),
                "{text}"
            );
        }
    }

    #[test]
    fn ids_and_nonsense_are_no_references() {
        let hex = "a".repeat(64);
        for text in
            [&format!("sha256:{hex}"), &hex, "", "a b", "a/../b:x y", "a:", "a@sha256:1", "a\n", "a//b"]
        {
            assert_eq!(Reference::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_digest_of_another_repository_does_not_count() {
        let digest = format!("sha256:{}", "b".repeat(64));
        let nginx = Reference::parse("nginx:1").unwrap();
        assert_eq!(nginx.digest_in(&format!("nginx@{digest}")), Some(digest.as_str()));
        assert_eq!(nginx.digest_in(&format!("mirror:5000/nginx@{digest}")), None);
    }
}
