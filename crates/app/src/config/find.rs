//! Finding the configuration file: the first place that has one wins, and nothing is merged.

use std::io::ErrorKind;
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
        None => {
            for path in places.candidates() {
                if exists(&path)? {
                    return read(&path);
                }
            }
            Ok(Config::default())
        }
    }
}

/// Where it cannot be known whether a file is there, none is passed over in silence: another configuration
/// would apply.
fn exists(path: &Path) -> Result<bool, ConfigError> {
    match path.try_exists() {
        Err(error) if error.kind() == ErrorKind::NotADirectory => Ok(false),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Err(ConfigError::whole(
            path,
            "nobody can tell whether it exists: its folder may not be entered. Run patchyard from another folder, or \
             name a configuration with --config FILE",
        )),
        // Reading it tells why.
        Err(_) => Ok(true),
        Ok(found) => Ok(found),
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
        std::fs::write(dir.path().join("binary.yaml"), [0xff, 0xfe]).unwrap();
        for (file, why) in [("none.yaml", "does not exist"), ("etc", "a folder"), ("binary.yaml", "not text")]
        {
            let asked = Places { asked: Some(dir.path().join(file)), ..places.clone() };
            let said = find(&asked).unwrap_err().to_string();
            assert!(said.contains("cannot be read") && said.contains(why), "{said}");
        }
    }
}
