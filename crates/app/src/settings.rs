//! What is decided for one target: defaults, then configuration, then labels where they may, then flags.

use patchyard_types::{
    Budget, Check, CheckKind, Data, Drain, Method, Millis, Order, Refusal, Settings, Target, TargetId,
    TargetKind, WritableLayer, printable,
};

use crate::config::{Config, default_name, is_http_path};

/// Label: leave this container alone.
pub const EXCLUDE: &str = "io.patchyard.exclude";
/// Label: which service it belongs to.
pub const SERVICE: &str = "io.patchyard.service";
/// Label: an HTTP check, `PORT`, `PORT/path` or `:PORT/path`.
pub const CHECK_HTTP: &str = "io.patchyard.check.http";
/// Label: a TCP check, `PORT`.
pub const CHECK_TCP: &str = "io.patchyard.check.tcp";
/// Label: a command inside the container that must exit 0: words, or a JSON list of them. It runs as the
/// container's own user, in the container: whoever could write the label could run it there anyway.
pub const CHECK_COMMAND: &str = "io.patchyard.check.command";
/// Label: how long its checks must stay green.
pub const VERIFY_FOR: &str = "io.patchyard.verify-for";
/// Label: what a way back does to its volumes.
pub const DATA: &str = "io.patchyard.data";
/// Label: which of the old and the new container comes first.
pub const ORDER: &str = "io.patchyard.order";
/// Label: a command in it before it is stopped; written as [`CHECK_COMMAND`] is.
pub const DRAIN_COMMAND: &str = "io.patchyard.drain.command";
/// Label: how long to wait before it is stopped.
pub const DRAIN_WAIT: &str = "io.patchyard.drain.wait";

/// What was said on the command line; it outweighs everything else.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `--method`.
    pub method: Option<Method>,
    /// `--verify-for`.
    pub verify_for: Option<Millis>,
    /// `--step-timeout`.
    pub step_timeout: Option<Millis>,
    /// `--max-unavailable`.
    pub max_unavailable: Option<Budget>,
    /// `--max-failures`.
    pub max_failures: Option<Budget>,
    /// `--max-parallel`.
    pub max_parallel: Option<u32>,
    /// `--max-layer`, in bytes.
    pub max_layer: Option<u64>,
    /// `--writable-layer`.
    pub writable_layer: Option<WritableLayer>,
    /// `--data`.
    pub data: Option<Data>,
    /// `--order`.
    pub order: Option<Order>,
    /// `--allow-remove`.
    pub allow_remove: bool,
}

/// What is decided for one target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// The settings.
    pub settings: Settings,
    /// Its label takes it out.
    pub excluded: bool,
    /// Labels that say something unreadable. Guessing what was meant could patch what should be left
    /// alone, so these keep the target out.
    pub refusals: Vec<Refusal>,
    /// Labels that were passed over because the configuration does not let them.
    pub ignored: Vec<&'static str>,
}

/// Decides for one target.
#[must_use]
pub fn settle(config: &Config, overrides: &Overrides, target: &Target) -> Settled {
    let mut settled = Settled {
        settings: config.defaults.clone(),
        excluded: false,
        refusals: Vec::new(),
        ignored: Vec::new(),
    };
    let wanted = |check: &&crate::config::SelectedCheck| {
        check.select.as_ref().is_none_or(|selector| selector.matches(target))
    };
    settled.settings.checks = config.checks.iter().filter(wanted).map(|c| c.check.clone()).collect();
    if target.kind == TargetKind::Host {
        // The file says how containers are patched; for a machine there is one way.
        settled.settings.method = Method::Packages;
    }
    settled.read_labels(config, target);
    settled.override_by(overrides);
    if target.kind == TargetKind::Host {
        settled.forget_containers();
    }
    settled
}

/// What to write where a label's command cannot be read.
const COMMAND: &str = "write a program and its arguments, or a JSON list of them; there is no shell";

/// A label that asks for a check.
struct CheckLabel<'a> {
    name: &'static str,
    /// What it says, where it is there and may say it.
    value: Option<&'a str>,
    read: fn(&str) -> Option<CheckKind>,
    /// What to write when it cannot be read.
    instead: &'static str,
}

impl Settled {
    fn read_labels(&mut self, config: &Config, target: &Target) {
        let rights = &config.labels;
        let mut label = |name: &'static str, allowed: bool| {
            let value = target.labels.get(name)?;
            if !allowed {
                self.ignored.push(name);
            }
            allowed.then_some(value.trim())
        };
        label(SERVICE, rights.service);
        let exclude = label(EXCLUDE, rights.exclude);
        let verify_for = label(VERIFY_FOR, rights.verify_for);
        let data = label(DATA, rights.data);
        let order = label(ORDER, rights.order);
        let drain_command = label(DRAIN_COMMAND, rights.drain_command);
        let drain_wait = label(DRAIN_WAIT, rights.drain_wait);
        let checks = [
            CheckLabel {
                name: CHECK_HTTP,
                value: label(CHECK_HTTP, rights.check_http),
                read: http_check,
                instead: "write PORT/path, such as 8080/health",
            },
            CheckLabel {
                name: CHECK_TCP,
                value: label(CHECK_TCP, rights.check_tcp),
                read: tcp_check,
                instead: "write a port, such as 5432",
            },
            CheckLabel {
                name: CHECK_COMMAND,
                value: label(CHECK_COMMAND, rights.check_command),
                read: command_check,
                instead: COMMAND,
            },
        ];
        if let Some(value) = exclude {
            match flag(value) {
                Some(excluded) => self.excluded = excluded,
                None => self.refuse(EXCLUDE, value, "write true or false"),
            }
        }
        if let Some(value) = verify_for {
            match value.parse() {
                Ok(duration) => self.settings.verify_for = duration,
                Err(_) => self.refuse(VERIFY_FOR, value, "write a duration such as 90s"),
            }
        }
        if let Some(value) = data {
            match value.parse() {
                Ok(data) => self.settings.data = data,
                Err(_) => self.refuse(DATA, value, "write keep or restore"),
            }
        }
        if let Some(value) = order {
            match value.parse() {
                Ok(order) => self.settings.order = order,
                Err(_) => self.refuse(ORDER, value, "write stop-first or start-first"),
            }
        }
        if let Some(value) = drain_command {
            match command(value) {
                Some(command) => self.settings.drain.command = command,
                None => self.refuse(DRAIN_COMMAND, value, COMMAND),
            }
        }
        if let Some(value) = drain_wait {
            match value.parse() {
                Ok(wait) => self.settings.drain.wait = wait,
                Err(_) => self.refuse(DRAIN_WAIT, value, "write a duration such as 10s"),
            }
        }
        for CheckLabel { name, value, read, instead } in checks {
            let Some(value) = value else { continue };
            match read(value) {
                Some(kind) => {
                    let name = format!("label {}", default_name(&kind));
                    self.settings.checks.push(Check { name, kind });
                }
                None => self.refuse(name, value, instead),
            }
        }
    }

    /// What only containers have: nothing is recreated, and packages do not replace data.
    fn forget_containers(&mut self) {
        let settings = &mut self.settings;
        settings.writable_layer = WritableLayer::LeaveOut;
        settings.data = Data::Keep;
        settings.order = Order::StopFirst;
        settings.drain = Drain::default();
    }

    fn refuse(&mut self, label: &str, value: &str, instead: &str) {
        let message = format!("its label {label} says '{}': {instead}", printable(value, 60));
        self.refusals.push(Refusal { code: "bad_label".into(), message });
    }

    fn override_by(&mut self, overrides: &Overrides) {
        let Overrides {
            method,
            verify_for,
            step_timeout,
            max_unavailable,
            max_failures,
            max_parallel,
            max_layer,
            writable_layer,
            data,
            order,
            allow_remove,
        } = *overrides;
        fn set<T>(slot: &mut T, value: Option<T>) {
            if let Some(value) = value {
                *slot = value;
            }
        }
        let settings = &mut self.settings;
        set(&mut settings.method, method);
        set(&mut settings.verify_for, verify_for);
        set(&mut settings.timeouts.step, step_timeout);
        set(&mut settings.max_unavailable, max_unavailable);
        set(&mut settings.max_failures, max_failures);
        set(&mut settings.max_parallel, max_parallel.map(|n| n as usize));
        set(&mut settings.max_layer, max_layer);
        set(&mut settings.writable_layer, writable_layer);
        set(&mut settings.data, data);
        set(&mut settings.order, order);
        settings.allow_remove |= allow_remove;
    }
}

/// `8080`, `8080/health`, `:8080/health`.
fn http_check(text: &str) -> Option<CheckKind> {
    let text = text.strip_prefix(':').unwrap_or(text);
    let (port, path) = match text.find('/') {
        Some(at) => text.split_at(at),
        None => (text, "/"),
    };
    let port = port_of(port)?;
    // A path is sent over a network and shown: what came with a label is not trusted.
    let fits = is_http_path(path) && path.is_ascii() && path.len() <= 1000;
    fits.then(|| CheckKind::Http { port, path: path.to_owned(), status: None, body: None, within: None })
}

/// `5432`, `:5432`.
fn tcp_check(text: &str) -> Option<CheckKind> {
    port_of(text.strip_prefix(':').unwrap_or(text)).map(|port| CheckKind::Tcp { port })
}

fn port_of(text: &str) -> Option<u16> {
    text.parse().ok().filter(|port| *port != 0)
}

/// `pg_isready -q`, `["sh", "-c", "test -e /run/ready"]`. What only a shell would understand is not guessed at.
fn command(text: &str) -> Option<Vec<String>> {
    let argv: Vec<String> = match text.starts_with('[') {
        true => serde_json::from_str(text).ok()?,
        false if text.contains(['\'', '"', '\\', '$', '`', '|', '&', ';', '<', '>', '*', '(', ')']) => {
            return None;
        }
        false => text.split_whitespace().map(str::to_owned).collect(),
    };
    let fits = argv.first().is_some_and(|program| !program.is_empty()) && text.len() <= 1000;
    (fits && !argv.iter().any(|word| word.contains('\0'))).then_some(argv)
}

/// Whether a label is set. Without a value it is: that is how flags are set on containers.
pub fn flag(value: &str) -> Option<bool> {
    match value.trim().to_ascii_lowercase().as_str() {
        "" | "true" | "1" | "yes" => Some(true),
        "false" | "0" | "no" => Some(false),
        _ => None,
    }
}

fn command_check(text: &str) -> Option<CheckKind> {
    command(text).map(|argv| CheckKind::Command { argv })
}

/// Takes `io.patchyard.service` back from targets where the configuration does not let labels name
/// services: Compose's own service, else the target's name.
pub fn rename_services(config: &Config, targets: &mut [Target]) {
    if config.labels.service {
        return;
    }
    let mut renamed: Vec<(Option<String>, String, String)> = Vec::new();
    for target in targets.iter_mut().filter(|t| t.labels.contains_key(SERVICE)) {
        let compose = target.labels.get("com.docker.compose.service");
        let service = compose.cloned().unwrap_or_else(|| target.name.clone());
        let before = std::mem::replace(&mut target.service, service.clone());
        renamed.push((target.project.clone(), before, service));
    }
    for target in targets {
        for service in &mut target.depends_on {
            let right =
                renamed.iter().find(|(project, before, _)| *project == target.project && before == service);
            if let Some((_, _, right)) = right {
                service.clone_from(right);
            }
        }
    }
}

/// Names of targets by id, for messages about things that are gone.
#[must_use]
pub fn name_of(targets: &[Target], id: &TargetId) -> String {
    let name = targets.iter().find(|t| t.id == *id).map_or_else(|| id.name(), |t| &t.name);
    printable(name, 120)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{LabelRights, SelectedCheck};
    use crate::testing::target;

    fn labelled(labels: &[(&str, &str)]) -> Target {
        let mut target = target("shop-1", "shop");
        target.labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        target
    }

    #[test]
    fn flags_outweigh_labels_and_labels_the_file() {
        let mut config = Config::default();
        config.defaults.verify_for = Millis::from_secs(10);
        let shop = labelled(&[(VERIFY_FOR, "20s")]);
        let settle = |overrides: &Overrides| settle(&config, overrides, &shop).settings.verify_for;
        assert_eq!(settle(&Overrides::default()), Millis::from_secs(20));
        let flag = Overrides { verify_for: Some(Millis::from_secs(5)), ..Overrides::default() };
        assert_eq!(settle(&flag), Millis::from_secs(5));
    }

    #[test]
    fn labels_override_only_where_they_may() {
        let config = Config { labels: LabelRights::NONE, ..Config::default() };
        let labels = [
            (EXCLUDE, "true"),
            (VERIFY_FOR, "nonsense"),
            (CHECK_HTTP, "80"),
            (CHECK_TCP, "80"),
            (CHECK_COMMAND, "true"),
            (SERVICE, "x"),
            (DATA, "restore"),
            (ORDER, "start-first"),
            (DRAIN_COMMAND, "true"),
            (DRAIN_WAIT, "1s"),
        ];
        let settled = settle(&config, &Overrides::default(), &labelled(&labels));
        assert_eq!(settled.settings, Config::default().defaults);
        assert!(!settled.excluded && settled.refusals.is_empty());
        assert_eq!(
            settled.ignored,
            [
                SERVICE,
                EXCLUDE,
                VERIFY_FOR,
                DATA,
                ORDER,
                DRAIN_COMMAND,
                DRAIN_WAIT,
                CHECK_HTTP,
                CHECK_TCP,
                CHECK_COMMAND
            ]
        );
    }

    #[test]
    fn unreadable_labels_keep_the_target_out() {
        for (label, value) in [
            (EXCLUDE, "perhaps"),
            (VERIFY_FOR, "long"),
            (CHECK_HTTP, "health"),
            (CHECK_HTTP, "0/x"),
            (CHECK_HTTP, "80/a b"),
            (CHECK_TCP, "70000"),
            (CHECK_COMMAND, ""),
            (CHECK_COMMAND, "test -e /run/ready && echo yes"),
            (CHECK_COMMAND, "[]"),
            (DATA, "yes"),
            (ORDER, "new-first"),
            (DRAIN_COMMAND, "sleep 5 | cat"),
            (DRAIN_WAIT, "soon"),
        ] {
            let settled = settle(&Config::default(), &Overrides::default(), &labelled(&[(label, value)]));
            assert_eq!(settled.refusals.len(), 1, "{label}={value}");
            assert!(settled.refusals[0].message.contains(label));
        }
    }

    #[test]
    fn checks_come_from_selectors_and_labels() {
        let check = |name: &str| Check { name: name.into(), kind: CheckKind::Tcp { port: 1 } };
        let config = Config {
            checks: vec![
                SelectedCheck { select: Some("service=shop".parse().unwrap()), check: check("mine") },
                SelectedCheck { select: Some("service=db".parse().unwrap()), check: check("theirs") },
                SelectedCheck { select: None, check: check("all") },
            ],
            ..Config::default()
        };
        let labels = [(CHECK_HTTP, ":8080/health"), (CHECK_TCP, "5432"), (CHECK_COMMAND, "pg_isready -q")];
        let settled = settle(&config, &Overrides::default(), &labelled(&labels));
        let names: Vec<_> = settled.settings.checks.iter().map(|c| c.name.as_str()).collect();
        let of_labels = ["label http :8080/health", "label tcp :5432", "label command pg_isready"];
        assert_eq!(names, [&["mine", "all"][..], &of_labels].concat());
        let listed = command_check(r#"["sh", "-c", "test -e /run/ready"]"#);
        let argv = ["sh", "-c", "test -e /run/ready"].map(str::to_owned).to_vec();
        assert_eq!(listed, Some(CheckKind::Command { argv }));
    }

    #[test]
    fn services_are_taken_back_from_labels_that_may_not_name_them() {
        let mut config = Config::default();
        config.labels.service = false;
        let mut one = labelled(&[(SERVICE, "other"), ("com.docker.compose.service", "web")]);
        one.service = "other".into();
        let mut two = target("two", "two");
        two.depends_on = vec!["other".into()];
        let mut targets = [one, two];
        rename_services(&config, &mut targets);
        assert_eq!(targets[0].service, "web");
        assert_eq!(targets[1].depends_on, ["web"]);
    }
}
