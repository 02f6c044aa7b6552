//! `patchyard.config-check/v1` and `patchyard.config-explain/v1`. (`patchyard.config/v1` is the
//! configuration file itself.)

use std::path::Path;

use patchyard_app::Setting;
use serde::Serialize;

/// What `config check` says of a good configuration; a bad one is a `patchyard.error/v1`.
#[derive(Debug, Serialize)]
pub struct ConfigCheckDocument {
    schema: &'static str,
    file: Option<String>,
    valid: bool,
}

/// What `config explain` tells.
#[derive(Debug, Serialize)]
pub struct ConfigExplainDocument {
    schema: &'static str,
    file: Option<String>,
    settings: Vec<SettingJson>,
}

#[derive(Debug, Serialize)]
struct SettingJson {
    key: String,
    value: String,
    origin: String,
}

impl ConfigCheckDocument {
    /// The file holds; `None` where there is none and the defaults apply.
    pub fn new(file: Option<&Path>) -> Self {
        Self { schema: "patchyard.config-check/v1", file: shown(file), valid: true }
    }
}

impl ConfigExplainDocument {
    /// What applies, and the file that was read.
    pub fn new(file: Option<&Path>, settings: &[Setting]) -> Self {
        let settings = settings.iter().map(|Setting { key, value, origin }| SettingJson {
            key: key.clone(),
            value: value.clone(),
            origin: origin.clone(),
        });
        Self { schema: "patchyard.config-explain/v1", file: shown(file), settings: settings.collect() }
    }
}

fn shown(file: Option<&Path>) -> Option<String> {
    file.map(|file| file.display().to_string())
}
