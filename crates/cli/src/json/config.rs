//! `patchyard.config/v1`

use std::path::Path;

use patchyard_app::Setting;
use serde::Serialize;

#[derive(Debug, Serialize)]
pub struct ConfigDocument {
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

impl ConfigDocument {
    pub fn new(file: Option<&Path>, settings: &[Setting]) -> Self {
        let settings = settings.iter().map(|setting| {
            let Setting { key, value, origin } = setting.clone();
            SettingJson { key, value, origin }
        });
        Self {
            schema: "patchyard.config/v1",
            file: file.map(|file| file.display().to_string()),
            settings: settings.collect(),
        }
    }
}
