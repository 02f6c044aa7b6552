//! A domain's XML with layers of its disks taken off: what it is defined as once they are thrown away.

use std::collections::BTreeMap;
use std::ops::Range;

use roxmltree::Node;

use super::tree::{attribute, child, children};
use super::{Image, Source, XmlError, guard, tree};

/// The XML with the uppermost layer of these disks taken off. `below` has what was under it, by the disk's target; what
/// stands there of deeper layers goes, for libvirt finds them itself, and a list that is out of date is an error at the
/// next start. All else stays to the letter.
///
/// # Errors
/// When the XML is no domain's, or a disk's layer cannot be named.
pub fn without_layers(xml: &str, below: &BTreeMap<String, Image>) -> Result<String, XmlError> {
    guard::check(xml)?;
    let document = tree::parse(xml)?;
    let devices = child(document.root_element(), "devices").ok_or(XmlError::Missing { what: "devices" })?;
    let mut changes: Vec<(Range<usize>, String)> = Vec::new();
    for disk in children(devices, "disk") {
        let target = child(disk, "target").and_then(|target| attribute(target, "dev")).unwrap_or_default();
        let Some(image) = below.get(&target) else { continue };
        changes.extend(of_disk(disk, image)?);
    }
    changes.sort_by_key(|(range, _)| std::cmp::Reverse(range.start));
    let mut changed = xml.to_owned();
    for (range, text) in changes {
        changed.replace_range(range, &text);
    }
    Ok(changed)
}

fn of_disk(disk: Node<'_, '_>, below: &Image) -> Result<Vec<(Range<usize>, String)>, XmlError> {
    let missing = |what| XmlError::Missing { what };
    let Source::File(file) = &below.source else { return Err(missing("file below a layer")) };
    let source = child(disk, "source").and_then(|source| source.attribute_node("file"));
    let source = source.ok_or(missing("file of a disk"))?;
    let mut changes = vec![(source.range_value(), escaped(file))];
    let driver = child(disk, "driver").and_then(|driver| driver.attribute_node("type"));
    let driver = driver.ok_or(missing("format of a disk"))?;
    let format = below.format.as_deref().ok_or(missing("format below a layer"))?;
    changes.push((driver.range_value(), escaped(format)));
    changes.extend(children(disk, "backingStore").map(|backing| (backing.range(), String::new())));
    Ok(changes)
}

/// Text as an attribute's value, in either kind of quotes.
pub(crate) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    fn below(file: &str, format: &str) -> BTreeMap<String, Image> {
        let image = Image { source: Source::File(file.to_owned()), format: Some(format.to_owned()) };
        [("vda".to_owned(), image)].into()
    }

    #[test]
    fn a_layer_is_taken_off_and_nothing_else_changes() {
        let xml = "<domain type='qemu'>\n  <devices>\n    <disk type='file' device='disk'>\n\
            <driver name='qemu' type='qcow2' discard='unmap'/>\n<source file='/top.qcow2' index='2'/>\n\
            <backingStore type='file'><format type='raw'/><source file='/a&amp;b.img'/><backingStore/></backingStore>\
            <target dev='vda' bus='virtio'/></disk>\n    <disk type='file'><source file='/data'/><target dev='vdb'/>\
            </disk>\n    <!-- <source file='/top.qcow2'/> -->\n  </devices></domain>";
        let changed = without_layers(xml, &below("/a&b.img", "raw")).unwrap();
        let expected = xml.replacen("type='qcow2' discard", "type='raw' discard", 1).replacen(
            "file='/top.qcow2' index",
            "file='/a&amp;b.img' index",
            1,
        );
        let (before, rest) = expected.split_once("<backingStore type").unwrap();
        let (_, after) = rest.split_once("</backingStore>").unwrap();
        assert_eq!(changed, format!("{before}{after}"));
    }

    #[test]
    fn a_disk_that_cannot_be_put_back_is_an_error() {
        let domain = |disk: &str| format!("<domain><devices>{disk}</devices></domain>");
        let no_file = domain("<disk><driver type='qcow2'/><target dev='vda'/></disk>");
        assert!(without_layers(&no_file, &below("/a", "raw")).is_err());
        let no_driver = domain("<disk><source file='/top'/><target dev='vda'/></disk>");
        assert!(without_layers(&no_driver, &below("/a", "raw")).is_err());
        assert!(without_layers("<domain/>", &below("/a", "raw")).is_err());
    }
}
