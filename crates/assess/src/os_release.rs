//! Reads os-release(5): which distribution a root file system is.

use patchyard_types::{OsRelease, PackageManager, printable};

/// The most of the file that is read, in bytes; real ones have under 500.
const MAX_LENGTH: usize = 64 * 1024;
/// The longest value kept, in characters.
const MAX_VALUE: usize = 200;

/// Reads the bytes of `/etc/os-release` or `/usr/lib/os-release`.
///
/// Shell quoting and escapes are undone, nothing is expanded. `None` when there is no `ID` in it
/// that could be one (lower-case letters, digits, `.`, `_`, `-`): the manual page lets a missing
/// `ID` mean `linux`, but for a patch that is the same as not knowing.
#[must_use]
pub fn parse(bytes: &[u8]) -> Option<OsRelease> {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(MAX_LENGTH)]);
    let mut id = None;
    let mut version_id = String::new();
    let mut pretty_name = String::new();
    for line in text.lines() {
        let Some((key, value)) = line.trim().split_once('=') else { continue };
        match key {
            "ID" => id = Some(unquote(value)),
            "VERSION_ID" => version_id = unquote(value),
            "PRETTY_NAME" => pretty_name = unquote(value),
            _ => {}
        }
    }
    let id = id.filter(|id| is_identifier(id) && !id.is_empty())?;
    if !is_identifier(&version_id) {
        version_id.clear();
    }
    let pretty_name = match pretty_name.as_str() {
        "" => format!("{id} {version_id}").trim_end().to_owned(),
        name => printable(name, MAX_VALUE),
    };
    Some(OsRelease { id, version_id, pretty_name })
}

/// The package manager of the distribution, by its `ID`, else by what it says it is like (`ID_LIKE`).
/// `None` for those that are not known here.
///
/// Programs are no evidence: rpm, dnf and zypper are packages of Debian's.
#[must_use]
pub fn package_manager(bytes: &[u8]) -> Option<PackageManager> {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(MAX_LENGTH)]);
    let value = |key: &str| {
        let found = text.lines().rev().find_map(|line| line.trim().strip_prefix(key)?.strip_prefix('='));
        found.map(unquote).unwrap_or_default()
    };
    let ids = [value("ID"), value("ID_LIKE")];
    ids.iter().flat_map(|ids| ids.split_ascii_whitespace()).find_map(package_manager_of)
}

/// The package manager of the distribution with this `ID`; `None` for those that are not known here.
#[must_use]
pub fn package_manager_of(id: &str) -> Option<PackageManager> {
    match id {
        "debian" | "ubuntu" | "raspbian" => Some(PackageManager::Apt),
        "fedora" | "rhel" | "centos" | "rocky" | "almalinux" | "ol" | "amzn" => Some(PackageManager::Dnf),
        "suse" | "opensuse" | "sles" | "sled" | "sle-micro" => Some(PackageManager::Zypper),
        "alpine" => Some(PackageManager::Apk),
        id if id.starts_with("opensuse-") => Some(PackageManager::Zypper),
        _ => None,
    }
}

fn is_identifier(text: &str) -> bool {
    text.len() <= MAX_VALUE
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b))
}

/// Undoes shell quoting as the manual page allows it: bare, `"…"` with backslash escapes, `'…'`.
fn unquote(value: &str) -> String {
    let value = value.trim();
    if let Some(inner) = value.strip_prefix('\'') {
        return inner.split('\'').next().unwrap_or_default().to_owned();
    }
    let (inner, quoted) = match value.strip_prefix('"') {
        Some(inner) => (inner, true),
        None => (value, false),
    };
    let mut out = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => out.extend(chars.next()),
            '"' if quoted => break,
            c if !quoted && c.is_whitespace() => break,
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use patchyard_types::PackageManager;

    use super::{package_manager, parse};

    #[test]
    fn distributions_have_package_managers() {
        let of = |text: &str| package_manager(text.as_bytes());
        assert_eq!(of("ID=debian\n"), Some(PackageManager::Apt));
        assert_eq!(of("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n"), Some(PackageManager::Apt));
        assert_eq!(of("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n"), Some(PackageManager::Dnf));
        assert_eq!(of("ID_LIKE='suse opensuse'\nID=\"opensuse-leap\"\n"), Some(PackageManager::Zypper));
        assert_eq!(of("ID=alpine\n"), Some(PackageManager::Apk));
        for unknown in ["", "ID=arch\n", "NAME=debian\n", "ID=debiantoo\n"] {
            assert_eq!(of(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn debian_and_ubuntu_as_they_ship() {
        let debian = parse(
            b"PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\nID=debian\n",
        )
        .unwrap();
        assert_eq!(
            (&*debian.id, &*debian.version_id, &*debian.pretty_name),
            ("debian", "12", "Debian GNU/Linux 12 (bookworm)")
        );
        let ubuntu =
            parse(b"# a comment\nPRETTY_NAME='Ubuntu 22.04.4 LTS'\nID=ubuntu\nVERSION_ID=\"22.04\"").unwrap();
        assert_eq!((&*ubuntu.id, &*ubuntu.version_id), ("ubuntu", "22.04"));
    }

    #[test]
    fn quotes_and_escapes_are_undone_and_nothing_is_expanded() {
        let release = parse(
            br#"ID="debian"
VERSION_ID=
PRETTY_NAME="a \"b\" \$HOME `id` \\" trailing"#,
        )
        .unwrap();
        assert_eq!(release.version_id, "");
        assert_eq!(release.pretty_name, r#"a "b" $HOME `id` \"#);
        assert_eq!(parse(b"ID=arch").unwrap().pretty_name, "arch");
    }

    #[test]
    fn hostile_files_say_nothing_or_something_harmless() {
        assert_eq!(parse(b""), None);
        assert_eq!(parse(b"NAME=x\nVERSION_ID=12"), None);
        assert_eq!(parse(b"ID=\"deb ian;rm\""), None);
        assert_eq!(parse(b"ID=\xff\xfe"), None);
        let mut huge = b"ID=debian\nPRETTY_NAME=".to_vec();
        huge.resize(1 << 20, b'x');
        assert!(parse(&huge).unwrap().pretty_name.chars().count() <= 201);
        assert_eq!(parse(b"ID=debian\nPRETTY_NAME=\"\x1b]0;x\"").unwrap().pretty_name, "\\u{1b}]0;x");
    }
}
