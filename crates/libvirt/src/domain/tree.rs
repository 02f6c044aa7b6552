//! Elements and attributes by name. Those of a domain have no namespace.

use roxmltree::{Document, Node, ParsingOptions};

use super::XmlError;
use patchyard_types::printable;

/// The most elements, texts and comments of a domain's XML: a machine with a hundred disks has some thousand.
const MOST_NODES: u32 = 200_000;

pub(super) fn parse(xml: &str) -> Result<Document<'_>, XmlError> {
    // No document type: with it come entities, which libvirt has none of.
    let options = ParsingOptions { allow_dtd: false, nodes_limit: MOST_NODES, ..ParsingOptions::default() };
    Document::parse_with_options(xml, options).map_err(|error| match error {
        roxmltree::Error::NodesLimitReached => XmlError::Excess { what: "more elements" },
        error => XmlError::Malformed { reason: printable(&error.to_string(), 200) },
    })
}

pub(super) fn is(node: Node<'_, '_>, namespace: Option<&str>, name: &str) -> bool {
    node.is_element() && node.tag_name().namespace() == namespace && node.tag_name().name() == name
}

pub(super) fn children_of<'a, 'i>(
    node: Node<'a, 'i>,
    namespace: Option<&'static str>,
    name: &'static str,
) -> impl Iterator<Item = Node<'a, 'i>> + use<'a, 'i> {
    node.children().filter(move |child| is(*child, namespace, name))
}

pub(super) fn children<'a, 'i>(
    node: Node<'a, 'i>,
    name: &'static str,
) -> impl Iterator<Item = Node<'a, 'i>> + use<'a, 'i> {
    children_of(node, None, name)
}

pub(super) fn child<'a, 'i>(node: Node<'a, 'i>, name: &'static str) -> Option<Node<'a, 'i>> {
    children(node, name).next()
}

/// What a child element says; one that says nothing is as good as none.
pub(super) fn text(node: Node<'_, '_>, name: &'static str) -> Option<String> {
    let text = child(node, name)?.text()?.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// An attribute; one that is empty is as good as none.
pub(super) fn attribute(node: Node<'_, '_>, name: &str) -> Option<String> {
    node.attribute(name).filter(|value| !value.is_empty()).map(str::to_owned)
}

pub(super) fn is_yes(node: Node<'_, '_>, name: &str) -> bool {
    node.attribute(name) == Some("yes")
}
