//! disks URI DOMAIN save|forget|put-back NAME: has what keeps a domain at libvirt save its disks under a name, forget that, or put
//! them back, as the steps of a patch do.

use std::process::ExitCode;

use patchyard_contract::Keeper;
use patchyard_libvirt::connection::Line;
use patchyard_libvirt::{DomainKeeper, Environment, Uri};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [uri, domain, verb, name] = &words[..] else {
        eprintln!("usage: disks URI DOMAIN save|forget|put-back NAME");
        return ExitCode::from(2);
    };
    match act(uri, domain, verb, name).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("disks: {why}");
            ExitCode::FAILURE
        }
    }
}

async fn act(uri: &str, domain: &str, verb: &str, name: &str) -> Result<(), String> {
    let line = Line::new(Uri::parse(uri).map_err(|error| error.to_string())?, Environment::of_process());
    let connection = line.connection().await.map_err(|error| error.to_string())?;
    let domain = connection.domain_by_name(domain).await.map_err(|error| error.to_string())?;
    let keeper = DomainKeeper::new(line, domain.uuid);
    let done = match verb {
        "save" => keeper.save(name, 0).await.map(drop),
        "forget" => keeper.forget(name).await,
        "put-back" => keeper.put_back(name).await,
        _ => return Err(format!("{verb} is none of save, forget and put-back")),
    };
    done.map_err(|error| error.to_string())
}
