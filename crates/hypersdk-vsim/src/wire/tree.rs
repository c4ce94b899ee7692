use quick_xml::Reader;
use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};

use super::value::MoRef;

const MAX_DEPTH: usize = 64;

/// An element of a request, with namespaces cut off: names are unique enough in VIM.
#[derive(Clone, Debug, Default)]
pub(crate) struct Node {
    pub(crate) name: String,
    attributes: Vec<(String, String)>,
    text: String,
    pub(crate) children: Vec<Node>,
}

impl Node {
    /// Reads a document; the error says what is wrong with it.
    pub(crate) fn parse(document: &str) -> Result<Self, String> {
        let mut reader = Reader::from_str(document);
        let mut open = vec![Node::default()];
        loop {
            if open.len() > MAX_DEPTH {
                return Err(format!("elements nest deeper than {MAX_DEPTH}"));
            }
            let event = reader.read_event().map_err(|error| error.to_string())?;
            let top = open.last_mut().expect("the document itself stays open");
            match event {
                Event::Start(start) => open.push(Self::from_start(&start)?),
                Event::Empty(start) => top.children.push(Self::from_start(&start)?),
                Event::End(_) => {
                    let done = open.pop().expect("the reader checks that tags match");
                    open.last_mut().ok_or("an end tag without a start")?.children.push(done);
                }
                Event::Text(text) => top.text.push_str(&text.xml_content(XmlVersion::Explicit1_0)),
                Event::CData(text) => top.text.push_str(&text.xml_content(XmlVersion::Explicit1_0)),
                Event::GeneralRef(entity) => {
                    if let Some(char) = entity.resolve_char_ref().map_err(|error| error.to_string())? {
                        top.text.push(char);
                    } else {
                        let name = entity.into_inner();
                        let plain = quick_xml::escape::resolve_predefined_entity(&name)
                            .ok_or_else(|| format!("unknown entity &{name};"))?;
                        top.text.push_str(plain);
                    }
                }
                Event::DocType(_) => return Err("a document type is not accepted".to_owned()),
                Event::Eof => break,
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            }
        }
        if open.len() != 1 {
            return Err("the document ends inside an element".to_owned());
        }
        open.pop().and_then(|root| root.children.into_iter().next()).ok_or_else(|| "no element".to_owned())
    }

    fn from_start(start: &BytesStart<'_>) -> Result<Self, String> {
        let mut node = Self { name: local(start.name().as_ref()).to_owned(), ..Self::default() };
        for attribute in start.attributes() {
            let attribute = attribute.map_err(|error| error.to_string())?;
            let value =
                attribute.normalized_value(XmlVersion::Explicit1_0).map_err(|error| error.to_string())?;
            node.attributes.push((local(attribute.key.as_ref()).to_owned(), value.into_owned()));
        }
        Ok(node)
    }

    pub(crate) fn child(&self, name: &str) -> Option<&Node> {
        self.children.iter().find(|child| child.name == name)
    }

    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Node> {
        self.children.iter().filter(move |child| child.name == name)
    }

    pub(crate) fn content(&self) -> &str {
        self.text.trim()
    }

    /// The text of a child, if there is one.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.child(name).map(Node::content)
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        matches!(self.text(name), Some("true" | "1"))
    }

    pub(crate) fn number(&self, name: &str) -> Option<i64> {
        self.text(name)?.parse().ok()
    }

    /// The attribute with this local name; `xsi:type` and `type` are told apart by [`Self::moref`].
    fn attributes<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.attributes.iter().filter(move |(key, _)| key == name).map(|(_, value)| local(value))
    }

    /// Reads a reference: `<obj type="VirtualMachine">vm-1</obj>`, whether or
    /// not the client adds `xsi:type="ManagedObjectReference"`.
    pub(crate) fn moref(&self) -> Option<MoRef> {
        let ty = self.attributes("type").find(|ty| *ty != "ManagedObjectReference")?;
        (!self.content().is_empty()).then(|| MoRef::new(ty, self.content()))
    }

    /// The reference in a child.
    pub(crate) fn reference(&self, name: &str) -> Option<MoRef> {
        self.child(name).and_then(Node::moref)
    }
}

/// The part of a qualified name behind the colon.
fn local(name: &str) -> &str {
    name.rsplit_once(':').map_or(name, |(_, local)| local)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_with_entities_and_sections_is_joined() {
        let node = Node::parse("<a><b>x &amp; &#65;<![CDATA[<y>]]></b></a>").unwrap();
        assert_eq!(node.text("b"), Some("x & A<y>"));
    }

    #[test]
    fn a_reference_is_read_with_and_without_schema_type() {
        let plain = Node::parse(r#"<o type="VirtualMachine">vm-1</o>"#).unwrap();
        let typed =
            Node::parse(r#"<o xmlns:i="x" i:type="ManagedObjectReference" type="VirtualMachine">vm-1</o>"#)
                .unwrap();
        assert_eq!(plain.moref(), Some(MoRef::new("VirtualMachine", "vm-1")));
        assert_eq!(plain.moref(), typed.moref());
    }

    #[test]
    fn documents_that_are_cut_or_too_deep_are_refused() {
        assert!(Node::parse("<a><b>").is_err());
        assert!(Node::parse("").is_err());
        assert!(Node::parse("<!DOCTYPE a []><a/>").is_err());
        assert!(Node::parse(&"<a>".repeat(100)).is_err());
    }
}
