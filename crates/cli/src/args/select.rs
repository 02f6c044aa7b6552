//! Selecting targets, patches and the age of answers: the same words for every verb.

use clap::{Args, ValueEnum};
use patchyard_app::select::{Selection, Selector};
use patchyard_types::{Method, Millis};

/// Which targets.
#[derive(Debug, Args)]
pub struct Targets {
    /// Names or globs of targets; all of them without any
    #[arg(value_name = "TARGET")]
    pub names: Vec<String>,
    #[command(flatten)]
    pub filter: Filter,
}

impl Targets {
    /// The same words for another verb.
    pub fn words(&self) -> Vec<String> {
        self.names.iter().map(|name| quoted(name)).chain(self.filter.words()).collect()
    }

    pub fn selection(&self) -> Selection {
        self.filter.selection(self.names.clone())
    }
}

/// What narrows targets beyond their names.
#[derive(Debug, Args)]
pub struct Filter {
    /// Only targets for which every term holds, such as 'service=shop,env!=prod'; repeatable
    #[arg(short = 'l', long, value_name = "TERMS")]
    pub selector: Vec<Selector>,
    /// Not the targets with these names or globs; repeatable
    #[arg(long, value_name = "TARGET")]
    pub exclude: Vec<String>,
}

impl Filter {
    /// The same words for another verb.
    pub fn words(&self) -> Vec<String> {
        let Self { selector, exclude } = self;
        let selectors = selector.iter().map(|selector| format!("-l {}", quoted(&selector.to_string())));
        selectors.chain(exclude.iter().map(|name| format!("--exclude {}", quoted(name)))).collect()
    }

    pub fn selection(&self, names: Vec<String>) -> Selection {
        Selection { names, selectors: self.selector.clone(), exclude: self.exclude.clone() }
    }
}

/// Which patches.
#[derive(Debug, Args)]
pub struct Patches {
    /// Only patches from security suites, and what they need
    #[arg(long)]
    pub security_only: bool,
    /// Only packages with these names or globs, and what they need; repeatable
    #[arg(long, value_name = "NAME")]
    pub package: Vec<String>,
    /// How to patch: 'layer' adds OS packages to a container's image, 'image' takes a newer digest of the same tag,
    /// 'packages' changes those of a machine
    #[arg(long, value_enum, value_name = "METHOD", hide_possible_values = true)]
    pub method: Option<MethodArg>,
}

/// A word as a shell takes it for itself.
fn quoted(word: &str) -> String {
    let plain =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '/' | '=' | ',' | ':' | '@');
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", patchyard_types::printable(word, 200).replace('\'', r"'\''")),
    }
}

impl Patches {
    /// The same words for another verb.
    pub fn words(&self) -> Vec<String> {
        let Self { security_only, package, method } = self;
        let security = security_only.then(|| "--security-only".to_owned());
        let packages = package.iter().map(|name| format!("--package {}", quoted(name)));
        let method = method.map(|method| format!("--method {}", Method::from(method)));
        security.into_iter().chain(packages).chain(method).collect()
    }

    pub const fn is_given(&self) -> bool {
        let Self { security_only, package, method } = self;
        *security_only || !package.is_empty() || method.is_some()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum MethodArg {
    Layer,
    Image,
    Packages,
}

impl From<MethodArg> for Method {
    fn from(method: MethodArg) -> Self {
        match method {
            MethodArg::Layer => Self::Layer,
            MethodArg::Image => Self::Image,
            MethodArg::Packages => Self::Packages,
        }
    }
}

/// How old an answer may be.
#[derive(Debug, Args)]
pub struct Freshness {
    /// Reuse answers that are younger than this and whose inputs have not changed [default: 1h]
    #[arg(long, value_name = "DURATION")]
    pub max_age: Option<Millis>,
    /// Ask again, whatever is remembered
    #[arg(long, conflicts_with = "max_age")]
    pub refresh: bool,
}

impl Freshness {
    pub const DEFAULT: Millis = Millis::from_secs(60 * 60);

    pub const fn is_given(&self) -> bool {
        let Self { max_age, refresh } = self;
        max_age.is_some() || *refresh
    }

    /// The oldest answer that is good enough.
    pub fn max_age(&self) -> Millis {
        if self.refresh { Millis(0) } else { self.max_age.unwrap_or(Self::DEFAULT) }
    }
}
