//! `config check`, `config explain`, `config schema`.

use patchyard_app::{Environment, Error, config, explain as explain_config};

use crate::args::{Config, ConfigVerb, Global};
use crate::exit::Exit;
use crate::json::{ConfigCheckDocument, ConfigExplainDocument};
use crate::session::Session;
use crate::table::Table;
use crate::text::remark;
use crate::ui::Ui;

/// Prints the schema.
pub fn schema(ui: &Ui) -> Exit {
    ui.result(config::SCHEMA);
    Exit::Done
}

/// Reads the configuration and does nothing else.
pub fn check(global: &Global, ui: &Ui) -> Result<Exit, Error> {
    let places = Environment::of_process().config_places(global.config.clone());
    let found = config::find(&places)?;
    found.check_files()?;
    if ui.json {
        ui.document(&ConfigCheckDocument::new(found.file.as_deref()));
        return Ok(Exit::Done);
    }
    match &found.file {
        Some(file) => ui.result(&format!("{}: good\n", file.display())),
        None => {
            let looked = places.candidates();
            let looked: Vec<_> = looked.iter().map(|path| path.display().to_string()).collect();
            ui.result(&format!("no configuration file, defaults apply; looked for {}\n", looked.join(", ")));
        }
    }
    Ok(Exit::Done)
}

/// Shows what applies, and where it was said.
pub async fn explain(session: &Session, args: &Config) -> Result<Exit, Error> {
    let ui = &session.ui;
    let target = match &args.verb {
        ConfigVerb::Explain { target } => target.as_deref(),
        ConfigVerb::Check | ConfigVerb::Schema => None,
    };
    let settings = explain_config(&session.context, target).await?;
    let file = session.context.config.file.as_deref();
    if ui.json {
        ui.document(&ConfigExplainDocument::new(file, &settings));
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["KEY", "SAID BY", "VALUE"]);
    for setting in &settings {
        table.row([
            remark(&setting.key).into(),
            remark(&setting.origin).into(),
            remark(&setting.value).into(),
        ]);
    }
    let name = file.map_or_else(|| "no configuration file".to_owned(), |file| file.display().to_string());
    ui.result(&format!("{name}\n{}", table.render(ui.width)));
    Ok(Exit::Done)
}
