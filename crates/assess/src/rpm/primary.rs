//! The lists of packages that repositories publish (`primary.xml`): what they offer, how large it is, and its hash.

use patchyard_types::{Arch, Digest};

use super::xml::{elements, unescape};
use super::{is_arch, is_package, is_version};

/// A package's file, as a repository offers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Package name.
    pub name: String,
    /// Its architecture.
    pub arch: Arch,
    /// Its version, as dnf and zypper write it.
    pub version: String,
    /// The file's size in bytes.
    pub size: u64,
    /// The file's SHA-256.
    pub sha256: Digest,
}

/// Reads `package` elements. What has another hash than SHA-256, or makes no sense, is none.
#[must_use]
pub fn offers(text: &str) -> Vec<Offer> {
    text.split("</package>").filter_map(offer).collect()
}

fn offer(text: &str) -> Option<Offer> {
    let (mut name, mut arch, mut version, mut sha256, mut size) = (None, None, None, None, None);
    for element in elements(text) {
        let words = || unescape(element.text.trim());
        match element.name {
            "name" => name = name.or_else(|| Some(words())),
            "arch" => arch = arch.or_else(|| Some(words())),
            "version" => {
                version = version.or_else(|| {
                    written(
                        &element.attribute("epoch"),
                        [element.attribute("ver")?, element.attribute("rel")?],
                    )
                })
            }
            "checksum" if element.attribute("type").as_deref() == Some("sha256") => {
                sha256 = words().parse().ok()
            }
            "size" => size = element.attribute("package")?.parse().ok(),
            _ => {}
        }
    }
    let (name, arch, version) = (name?, arch?, version?);
    let makes_sense = is_package(&name) && is_arch(&arch) && is_version(&version);
    makes_sense.then_some(Offer { name, arch: Arch(arch), version, size: size?, sha256: sha256? })
}

/// An epoch of 0 is not written.
fn written(epoch: &Option<String>, [version, release]: [String; 2]) -> Option<String> {
    Some(match epoch.as_deref() {
        None | Some("0" | "") => format!("{version}-{release}"),
        Some(epoch) => format!("{epoch}:{version}-{release}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_repositories_offer_is_read() {
        let package = |epoch: u32, kind: &str, sum: &str| {
            format!(
                "<package type=\"rpm\">\n  <name>libstdc++</name>\n  <arch>x86_64</arch>\n  <version epoch=\"{epoch}\" ver=\"12.2\" rel=\"1.fc37\"/>\n  \
                 <checksum type=\"{kind}\" pkgid=\"YES\">{sum}</checksum>\n  <summary>A &lt;library&gt;</summary>\n  \
                 <size package=\"6185\" installed=\"20\" archive=\"132\"/>\n  <format><rpm:provides><rpm:entry name=\"x\"/></rpm:provides></format>\n</package>\n"
            )
        };
        let sum = "ab".repeat(32);
        let text =
            [package(0, "sha256", &sum), package(3, "sha256", &sum), package(0, "sha", "abcd")].concat();
        let read = offers(&text);
        assert_eq!(
            read.iter().map(|offer| &*offer.version).collect::<Vec<_>>(),
            ["12.2-1.fc37", "3:12.2-1.fc37"]
        );
        assert_eq!((&*read[0].name, &*read[0].arch.0, read[0].size), ("libstdc++", "x86_64", 6185));
        assert_eq!(read[0].sha256, sum.parse().unwrap());
    }
}
