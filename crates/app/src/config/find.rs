//! Finding the configuration file: the first place that has one wins, and nothing is merged.

use std::path::{Path, PathBuf};

use super::{Config, ConfigError, read};

/// Where a configuration may be.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// `--config FILE`: must exist when given.
    pub asked: Option<PathBuf>,
    /// The working directory.
    pub working_dir: PathBuf,
    /// `$XDG_CONFIG_HOME`, or `~/.config`.
    pub config_home: Option<PathBuf>,
    /// `/etc`, unless a test says otherwise.
    pub system: PathBuf,
}

impl Places {
    /// The candidates in their order, when none was asked for.
    #[must_use]
    pub fn candidates(&self) -> Vec<PathBuf> {
        let mut found = vec![self.working_dir.join("patchyard.yaml")];
        found.extend(self.config_home.iter().map(|home| home.join("patchyard/patchyard.yaml")));
        found.push(self.system.join("patchyard/patchyard.yaml"));
        found
    }
}

/// Finds and reads the configuration; without any file the defaults apply.
///
/// # Errors
/// When the file asked for does not exist, or the one found cannot be used.
pub fn find(places: &Places) -> Result<Config, ConfigError> {
    match &places.asked {
        Some(path) => read(path),
        None => match places.candidates().iter().find(|path| exists(path)) {
            Some(path) => read(path),
            None => Ok(Config::default()),
        },
    }
}

/// A file that is there but may not be looked at counts as found: reading it tells why. Passing it
/// over in silence would apply a different configuration.
fn exists(path: &Path) -> bool {
    match path.try_exists() {
        Ok(found) => found,
        Err(error) => error.kind() != std::io::ErrorKind::NotADirectory,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_file_wins_and_nothing_is_merged() {
        let dir = tempfile::tempdir().unwrap();
        let places = Places {
            asked: None,
            working_dir: dir.path().join("here"),
            config_home: Some(dir.path().join("home")),
            system: dir.path().join("etc"),
        };
        assert_eq!(find(&places).unwrap(), Config::default());
        for (folder, verify_for) in [("etc/patchyard", "10s"), ("home/patchyard", "20s"), ("here", "40s")] {
            std::fs::create_dir_all(dir.path().join(folder)).unwrap();
            let file = dir.path().join(folder).join("patchyard.yaml");
            std::fs::write(&file, format!("version: 1\ndefaults: {{verify_for: {verify_for}}}\n")).unwrap();
            let config = find(&places).unwrap();
            assert_eq!(config.file, Some(file));
            assert_eq!(config.defaults.verify_for, verify_for.parse().unwrap());
        }
        let asked = Places { asked: Some(dir.path().join("none.yaml")), ..places };
        assert!(find(&asked).unwrap_err().to_string().contains("cannot be read"));
    }
}
