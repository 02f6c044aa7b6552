//! From the file as written to values that can be relied on.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use patchyard_types::{Budget, Check, CheckKind, Method, Millis, Settings, printable};
use serde_saphyr::Spanned;

use super::{
    Config, ConfigError, Host, Keeper, KeptAt, LabelRights, Machine, Registry, Retention, SelectedCheck, Tls,
    Way, raw,
};
use crate::nearest::nearest;
use crate::size;

pub fn validate(path: &Path, file: raw::File) -> Result<Config, ConfigError> {
    let raw::File { version, hosts, defaults, checks, registries } = file;
    let mut reader = Reader { path, lines: BTreeMap::new() };
    if version.value != 1 {
        let message = format!("version {} is not known; this patchyard reads version 1", version.value);
        return Err(reader.error(&version, message));
    }
    let hosts = hosts.into_iter().map(|(name, host)| reader.host(name, host)).collect::<Result<_, _>>()?;
    let registries = registries
        .into_iter()
        .map(|(name, registry)| reader.registry(name, registry))
        .collect::<Result<_, _>>()?;
    let Defaults { settings, ask_timeout, retention, keep_tags, labels } = reader.defaults(defaults)?;
    let checks = reader.checks(checks)?;
    let lines = reader.lines;
    Ok(Config {
        file: Some(path.to_owned()),
        hosts,
        defaults: settings,
        ask_timeout,
        retention,
        keep_tags,
        labels,
        checks,
        registries,
        lines,
    })
}

/// What only machines have.
struct Machinery {
    ssh_config: Option<Spanned<String>>,
    sudo: Option<raw::Sudo>,
    service: Option<Spanned<String>>,
    labels: Option<Spanned<BTreeMap<String, String>>>,
}

impl Machinery {
    /// The first key that is there.
    fn first(&self) -> Option<&'static str> {
        let Self { ssh_config, sudo, service, labels } = self;
        let keys = [
            ("ssh_config", ssh_config.is_some()),
            ("sudo", sudo.is_some()),
            ("service", service.is_some()),
            ("labels", labels.is_some()),
        ];
        keys.into_iter().find(|(_, is_there)| *is_there).map(|(key, _)| key)
    }
}

/// The `defaults` section, validated.
struct Defaults {
    settings: Settings,
    ask_timeout: Millis,
    retention: Retention,
    keep_tags: bool,
    labels: LabelRights,
}

struct Reader<'a> {
    path: &'a Path,
    lines: BTreeMap<String, u64>,
}

impl Reader<'_> {
    fn error<T>(&self, place: &Spanned<T>, message: impl Into<String>) -> ConfigError {
        ConfigError::at(self.path, place.referenced, message)
    }

    /// Replaces `slot` by the parsed text, and remembers the line for `config explain`.
    fn set<T: FromStr>(
        &mut self,
        key: &str,
        slot: &mut T,
        text: Option<Spanned<String>>,
    ) -> Result<(), ConfigError>
    where
        T::Err: std::fmt::Display,
    {
        let Some(text) = text else { return Ok(()) };
        *slot = text.value.parse().map_err(|error| self.error(&text, format!("{key}: {error}")))?;
        self.remember(key, &text);
        Ok(())
    }

    fn size(&self, text: &Spanned<String>) -> Result<u64, ConfigError> {
        size::parse(&text.value).ok_or_else(|| {
            let shown = printable(&text.value, 40);
            self.error(
                text,
                format!("'{shown}' is not a size: write a whole number and a unit, as in 512MiB"),
            )
        })
    }

    fn remember<T>(&mut self, key: &str, place: &Spanned<T>) {
        self.lines.insert(key.to_owned(), place.referenced.line());
    }

    /// A file named in the configuration, relative to the configuration's own folder.
    fn file(&self, text: Spanned<String>) -> Result<PathBuf, ConfigError> {
        if text.value.is_empty() {
            return Err(self.error(&text, "a file name must not be empty"));
        }
        Ok(self.path.parent().unwrap_or_else(|| Path::new("")).join(text.value))
    }

    fn host(&mut self, name: String, host: Spanned<raw::Host>) -> Result<(String, Host), ConfigError> {
        self.remember(&format!("hosts.{name}"), &host);
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if name.is_empty() || !name.chars().all(plain) {
            let shown = printable(&name, 60);
            let message = format!("host name '{shown}': use letters, digits, '.', '-' and '_' only");
            return Err(self.error(&host, message));
        }
        let place = host.referenced;
        let raw::Host { url, tls, ssh, ssh_config, local, libvirt, incus, sudo, service, labels } =
            host.value;
        let machine = Machinery { ssh_config, sudo, service, labels };
        let host = match (url, ssh, local, libvirt, incus) {
            (Some(url), None, None, None, None) => {
                if let Some(key) = machine.first() {
                    return Err(
                        self.error(&url, format!("{key} belongs to machines (ssh, local), not to engines"))
                    );
                }
                self.engine(url, tls)?
            }
            (None, ssh, local, None, None) if ssh.is_some() != local.is_some() => {
                self.no_tls(tls)?;
                if let Some(no) = local.filter(|local| !local.value) {
                    return Err(self.error(&no, "local is true, or left out"));
                }
                Host::Machine(self.machine(ssh, machine)?)
            }
            (None, None, None, Some(uri), None) => {
                let labels = self.labels_of_kept(&uri, tls, machine)?;
                Host::Keeper(Keeper { at: self.libvirt(&uri)?, labels })
            }
            (None, None, None, None, Some(socket)) => {
                let labels = self.labels_of_kept(&socket, tls, machine)?;
                Host::Keeper(Keeper { at: self.incus(socket)?, labels })
            }
            _ => {
                let message = "a host is one of url, ssh, libvirt, incus and local: true";
                return Err(ConfigError::at(self.path, place, message));
            }
        };
        Ok((name, host))
    }

    fn engine(&self, url: Spanned<String>, tls: Option<raw::Tls>) -> Result<Host, ConfigError> {
        let scheme = url.value.split_once("://").map(|(scheme, rest)| (scheme, rest.is_empty()));
        match scheme {
            Some(("unix" | "tcp" | "ssh", false)) => {}
            _ => {
                let shown = printable(&url.value, 80);
                let message = format!(
                    "'{shown}' is not an engine's address: write unix:///run/docker.sock, tcp://host:2376 or ssh://user@host"
                );
                return Err(self.error(&url, message));
            }
        }
        if tls.is_some() && !url.value.starts_with("tcp://") {
            return Err(self.error(&url, "tls belongs to tcp:// addresses only"));
        }
        let tls = tls.map(|tls| self.tls(tls)).transpose()?;
        Ok(Host::Engine { url: url.value, tls })
    }

    /// Only an engine's address has any.
    fn no_tls(&self, tls: Option<raw::Tls>) -> Result<(), ConfigError> {
        match tls {
            Some(tls) => Err(self.error(&tls.ca, "tls belongs to tcp:// addresses only")),
            None => Ok(()),
        }
    }

    /// Of who keeps machines: their labels. What only a single machine has is no key there.
    fn labels_of_kept(
        &self,
        place: &Spanned<String>,
        tls: Option<raw::Tls>,
        mut machine: Machinery,
    ) -> Result<BTreeMap<String, String>, ConfigError> {
        self.no_tls(tls)?;
        let labels = machine.labels.take();
        match machine.first() {
            Some(key) => {
                Err(self.error(place, format!("{key} belongs to machines that ssh or local reaches")))
            }
            None => Ok(labels.map(|labels| labels.value).unwrap_or_default()),
        }
    }

    fn libvirt(&self, uri: &Spanned<String>) -> Result<KeptAt, ConfigError> {
        let parsed = patchyard_libvirt::Uri::parse(&uri.value);
        parsed.map(KeptAt::Libvirt).map_err(|error| self.error(uri, error.to_string()))
    }

    fn incus(&self, socket: Spanned<String>) -> Result<KeptAt, ConfigError> {
        if socket.value.contains("://") {
            let message = "incus is the path of its socket, such as /var/lib/incus/unix.socket";
            return Err(self.error(&socket, message));
        }
        self.file(socket).map(KeptAt::Incus)
    }

    fn machine(&self, ssh: Option<Spanned<String>>, machine: Machinery) -> Result<Machine, ConfigError> {
        let Machinery { ssh_config, sudo, service, labels } = machine;
        let config = ssh_config.clone().map(|file| self.file(file)).transpose()?;
        let way = match ssh {
            Some(to) => {
                let odd = |c: char| c.is_whitespace() || c.is_control();
                if to.value.is_empty() || to.value.starts_with('-') || to.value.contains(odd) {
                    let shown = printable(&to.value, 80);
                    let message =
                        format!("'{shown}' is no host: write user@host, or a name of your ssh_config");
                    return Err(self.error(&to, message));
                }
                if to.value.contains("://") {
                    return Err(self.error(&to, "ssh is user@host here; an engine behind ssh is a url"));
                }
                Way::Ssh { to: to.value, config }
            }
            None => match ssh_config {
                Some(file) => return Err(self.error(&file, "ssh_config belongs to ssh")),
                None => Way::Local,
            },
        };
        if let Some(service) = &service
            && service.value.trim().is_empty()
        {
            return Err(self.error(service, "a service's name must not be empty"));
        }
        Ok(Machine {
            way,
            sudo_password_file: sudo.map(|sudo| self.file(sudo.password_file)).transpose()?,
            service: service.map(|service| service.value),
            labels: labels.map(|labels| labels.value).unwrap_or_default(),
        })
    }

    fn tls(&self, tls: raw::Tls) -> Result<Tls, ConfigError> {
        let raw::Tls { ca, cert, key } = tls;
        let identity = match (cert, key) {
            (Some(cert), Some(key)) => Some((self.file(cert)?, self.file(key)?)),
            (None, None) => None,
            (Some(one), None) | (None, Some(one)) => {
                return Err(self.error(&one, "cert and key go together"));
            }
        };
        Ok(Tls { ca: self.file(ca)?, identity })
    }

    fn registry(
        &mut self,
        name: String,
        registry: Spanned<raw::Registry>,
    ) -> Result<(String, Registry), ConfigError> {
        self.remember(&format!("registries.{name}"), &registry);
        if name.is_empty() || name.contains('/') {
            let message = format!("registry '{}': write its host or host:port", printable(&name, 60));
            return Err(self.error(&registry, message));
        }
        let raw::Registry { username, password_file } = registry.value;
        if username.value.is_empty() || username.value.contains(':') {
            return Err(self.error(&username, "a user name must not be empty or hold a colon"));
        }
        let registry = Registry { username: username.value, password_file: self.file(password_file)? };
        Ok((name, registry))
    }

    fn defaults(&mut self, raw: raw::Defaults) -> Result<Defaults, ConfigError> {
        let raw::Defaults {
            method,
            verify_for,
            max_unavailable,
            max_failures,
            max_parallel,
            allow_remove,
            max_layer,
            writable_layer,
            data,
            order,
            drain,
            reboot,
            way_back,
            snapshot,
            tag,
            timeouts,
            retention,
            labels,
        } = raw;
        let mut settings = Settings::default();
        if let Some(text) = method {
            settings.method = self.method(&text)?;
            self.remember("defaults.method", &text);
        }
        self.set("defaults.verify_for", &mut settings.verify_for, verify_for)?;
        if let Some(text) = &max_unavailable
            && matches!(text.value.parse(), Ok(Budget::Count(0)))
        {
            return Err(self.error(text, "max_unavailable: at least 1, or nothing would ever start"));
        }
        self.set("defaults.max_unavailable", &mut settings.max_unavailable, max_unavailable)?;
        self.set("defaults.max_failures", &mut settings.max_failures, max_failures)?;
        if let Some(count) = max_parallel {
            if count.value == 0 {
                return Err(self.error(&count, "max_parallel: at least 1, or nothing would ever start"));
            }
            settings.max_parallel = count.value as usize;
            self.remember("defaults.max_parallel", &count);
        }
        if let Some(flag) = allow_remove {
            settings.allow_remove = flag.value;
            self.remember("defaults.allow_remove", &flag);
        }
        if let Some(text) = max_layer {
            settings.max_layer = self.size(&text)?;
            self.remember("defaults.max_layer", &text);
        }
        self.set("defaults.writable_layer", &mut settings.writable_layer, writable_layer)?;
        self.set("defaults.data", &mut settings.data, data)?;
        self.set("defaults.order", &mut settings.order, order)?;
        if let Some(raw::Drain { command, wait }) = drain {
            if let Some(command) = command {
                self.remember("defaults.drain.command", &command);
                settings.drain.command = self.command(command)?;
            }
            self.set("defaults.drain.wait", &mut settings.drain.wait, wait)?;
        }
        self.set("defaults.reboot", &mut settings.reboot, reboot)?;
        self.set("defaults.way_back", &mut settings.way_back, way_back)?;
        self.set("defaults.snapshot", &mut settings.snapshot, snapshot)?;
        let mut ask_timeout = Config::default().ask_timeout;
        if let Some(raw::Timeouts { ask, step, healthy, check }) = timeouts {
            self.set("defaults.timeouts.ask", &mut ask_timeout, ask)?;
            self.set("defaults.timeouts.step", &mut settings.timeouts.step, step)?;
            self.set("defaults.timeouts.healthy", &mut settings.timeouts.healthy, healthy)?;
            self.set("defaults.timeouts.check", &mut settings.timeouts.check, check)?;
        }
        let keep_tags = match tag {
            Some(text) => self.keep_tags(&text)?,
            None => false,
        };
        let mut kept = Retention::default();
        if let Some(raw::Retention { keep_for, keep_last, max_size }) = retention {
            self.set("defaults.retention.keep_for", &mut kept.keep_for, keep_for)?;
            if let Some(count) = keep_last {
                kept.keep_last = count.value;
                self.remember("defaults.retention.keep_last", &count);
            }
            if let Some(text) = max_size {
                kept.max_size = Some(self.size(&text)?);
                self.remember("defaults.retention.max_size", &text);
            }
        }
        Ok(Defaults { settings, ask_timeout, retention: kept, keep_tags, labels: self.labels(labels)? })
    }

    fn keep_tags(&mut self, text: &Spanned<String>) -> Result<bool, ConfigError> {
        self.remember("defaults.tag", text);
        match text.value.as_str() {
            "move" => Ok(false),
            "keep" => Ok(true),
            other => {
                let shown = printable(other, 40);
                Err(self.error(text, format!("tag '{shown}' is not known: write move or keep")))
            }
        }
    }

    fn method(&self, text: &Spanned<String>) -> Result<Method, ConfigError> {
        match text.value.as_str() {
            "layer" => Ok(Method::Layer),
            "image" => Ok(Method::Image),
            "packages" => Err(self.error(
                text,
                "machines are patched by method packages anyway: write layer or image, for containers",
            )),
            other => {
                let shown = printable(other, 40);
                Err(self.error(text, format!("method '{shown}' is not known: write layer or image")))
            }
        }
    }

    fn labels(&mut self, labels: Option<Vec<Spanned<String>>>) -> Result<LabelRights, ConfigError> {
        const NAMES: [&str; 10] = [
            "exclude",
            "service",
            "check.http",
            "check.tcp",
            "check.command",
            "verify-for",
            "data",
            "order",
            "drain.command",
            "drain.wait",
        ];
        let Some(labels) = labels else { return Ok(LabelRights::default()) };
        let mut rights = LabelRights::NONE;
        for label in labels {
            let name = label.value.strip_prefix("io.patchyard.").unwrap_or(&label.value);
            match name {
                "exclude" => rights.exclude = true,
                "service" => rights.service = true,
                "check.http" => rights.check_http = true,
                "check.tcp" => rights.check_tcp = true,
                "check.command" => rights.check_command = true,
                "verify-for" => rights.verify_for = true,
                "data" => rights.data = true,
                "order" => rights.order = true,
                "drain.command" => rights.drain_command = true,
                "drain.wait" => rights.drain_wait = true,
                other => {
                    let hint = nearest(other, NAMES).map_or_else(
                        || format!("known: {}", NAMES.join(", ")),
                        |right| format!("did you mean '{right}'?"),
                    );
                    let shown = printable(other, 60);
                    return Err(self.error(&label, format!("unknown label '{shown}'; {hint}")));
                }
            }
            self.remember("defaults.labels", &label);
        }
        Ok(rights)
    }

    fn checks(&mut self, checks: Vec<Spanned<raw::Check>>) -> Result<Vec<SelectedCheck>, ConfigError> {
        let mut found: Vec<SelectedCheck> = Vec::new();
        for raw in checks {
            let place = raw.referenced;
            let check = self.check(raw)?;
            if found.iter().any(|known| known.check.name == check.check.name) {
                let message =
                    format!("a check named '{}' exists already: names are unique", check.check.name);
                return Err(ConfigError::at(self.path, place, message));
            }
            self.lines.insert(format!("checks.{}", check.check.name), place.line());
            found.push(check);
        }
        Ok(found)
    }

    fn check(&self, check: Spanned<raw::Check>) -> Result<SelectedCheck, ConfigError> {
        let one_of = "a check is one of http, tcp and command";
        let place = check.referenced;
        let raw::Check { name, select, http, tcp, command } = check.value;
        let kind = match (http, tcp, command) {
            (Some(http), None, None) => self.http(http)?,
            (None, Some(tcp), None) => CheckKind::Tcp { port: self.port(&tcp.port)? },
            (None, None, Some(argv)) => CheckKind::Command { argv: self.command(argv)? },
            _ => return Err(ConfigError::at(self.path, place, one_of)),
        };
        let select = select
            .map(|text| text.value.parse().map_err(|error| self.error(&text, format!("select: {error}"))))
            .transpose()?;
        let name = match name {
            Some(name) if name.value.is_empty() => {
                return Err(self.error(&name, "a check's name must not be empty"));
            }
            Some(name) => name.value,
            None => default_name(&kind),
        };
        Ok(SelectedCheck { select, check: Check { name, kind } })
    }

    fn command(&self, argv: Spanned<Vec<String>>) -> Result<Vec<String>, ConfigError> {
        if argv.value.first().is_none_or(String::is_empty) {
            return Err(self.error(&argv, "command needs a program and its arguments, as a list"));
        }
        Ok(argv.value)
    }

    fn http(&self, http: raw::Http) -> Result<CheckKind, ConfigError> {
        let raw::Http { port, path, status, body, within } = http;
        if let Some(path) = &path
            && !is_http_path(&path.value)
        {
            return Err(self.error(path, "path must start with '/' and hold no spaces or control characters"));
        }
        if let Some(status) = &status
            && !(100..600).contains(&status.value)
        {
            return Err(self.error(status, "status must be between 100 and 599"));
        }
        let within = within
            .map(|text| {
                text.value.parse::<Millis>().map_err(|error| self.error(&text, format!("within: {error}")))
            })
            .transpose()?;
        Ok(CheckKind::Http {
            port: self.port(&port)?,
            path: path.map_or_else(|| "/".into(), |path| path.value),
            status: status.map(|status| status.value),
            body: body.map(|body| body.value),
            within,
        })
    }

    fn port(&self, port: &Spanned<u16>) -> Result<u16, ConfigError> {
        if port.value == 0 { Err(self.error(port, "port 0 cannot be asked")) } else { Ok(port.value) }
    }
}

/// Whether a text can stand in an HTTP request line.
pub fn is_http_path(path: &str) -> bool {
    path.starts_with('/') && path.chars().all(|c| !c.is_whitespace() && !c.is_control())
}

/// The name of a check that was given none: what it asks.
pub fn default_name(kind: &CheckKind) -> String {
    match kind {
        CheckKind::Http { port, path, .. } => format!("http :{port}{path}"),
        CheckKind::Tcp { port } => format!("tcp :{port}"),
        CheckKind::Command { argv } => {
            argv.first().map_or_else(String::new, |program| format!("command {program}"))
        }
    }
}
