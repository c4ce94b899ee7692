//! A small XML tree: what one object of a reply is read into.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use super::names::{Name, name};

/// A reply that is not what the protocol says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Malformed(pub(crate) String);

impl Malformed {
    pub(crate) fn missing(name: &str, parent: &str) -> Self {
        Malformed(format!("<{parent}> has no <{name}>"))
    }
}

impl From<quick_xml::Error> for Malformed {
    fn from(error: quick_xml::Error) -> Self {
        Malformed(format!("bad XML: {error}"))
    }
}

/// A reference to a managed object: its type and the server's id for it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct MoRef {
    pub(crate) kind: String,
    pub(crate) id: String,
}

impl MoRef {
    pub(crate) fn new(kind: impl Into<String>, id: impl Into<String>) -> Self {
        MoRef { kind: kind.into(), id: id.into() }
    }
}

impl fmt::Display for MoRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind, self.id)
    }
}

/// Property values of one object by path.
pub(crate) type Properties = BTreeMap<Name, Element>;

/// An element with its namespace prefix dropped. vSphere uses one namespace for all its elements, and
/// servers differ in the prefixes they choose.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Element {
    pub(crate) name: Name,
    /// The value of `xsi:type` without its prefix.
    pub(crate) xsi_type: Option<Name>,
    /// The value of the plain attribute `type`, which managed object references carry.
    object_type: Option<Name>,
    pub(crate) text: String,
    pub(crate) children: Vec<Element>,
}

impl Element {
    /// The first child of that name.
    pub(crate) fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name)
    }

    /// Every child of that name.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Element> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The element reached by a path of child names such as `deviceInfo/label`.
    pub(crate) fn at(&self, path: &str) -> Option<&Element> {
        path.split('/').try_fold(self, |element, name| element.child(name))
    }

    /// The text of the element at `path`, if there is one.
    pub(crate) fn text_at(&self, path: &str) -> Option<&str> {
        self.at(path).map(|element| element.text.as_str())
    }

    /// The text of a child that has to be there.
    pub(crate) fn required(&self, name: &str) -> Result<&str, Malformed> {
        self.child(name).map(|child| child.text.as_str()).ok_or_else(|| Malformed::missing(name, &self.name))
    }

    /// The number at `path`; none if absent or not a number.
    pub(crate) fn number<N: std::str::FromStr>(&self, path: &str) -> Option<N> {
        self.text_at(path)?.trim().parse().ok()
    }

    /// The boolean at `path`; none if absent or neither spelling.
    pub(crate) fn boolean(&self, path: &str) -> Option<bool> {
        match self.text_at(path)?.trim() {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            _ => None,
        }
    }

    /// This element as a managed object reference.
    pub(crate) fn moref(&self) -> Result<MoRef, Malformed> {
        match (&self.object_type, self.object_id()) {
            (Some(kind), Some(id)) => Ok(MoRef::new(kind.as_ref(), id)),
            _ => Err(Malformed(format!("<{}> is not a managed object reference", self.name))),
        }
    }

    /// The id of the managed object that this element refers to, if it does.
    pub(crate) fn object_id(&self) -> Option<&str> {
        self.object_type.as_ref().filter(|_| !self.text.is_empty()).map(|_| self.text.as_str())
    }

    /// The child of that name as a managed object reference, if it is there.
    pub(crate) fn moref_at(&self, path: &str) -> Option<MoRef> {
        self.at(path)?.moref().ok()
    }
}

fn begin(start: &BytesStart<'_>) -> Result<Element, Malformed> {
    let mut element = Element { name: name(start.local_name().as_ref()), ..Element::default() };
    for attribute in start.attributes().with_checks(false) {
        let attribute = attribute.map_err(|error| Malformed(format!("bad attribute: {error}")))?;
        if attribute.key.local_name().as_ref() != "type" {
            continue;
        }
        let value = attribute.normalized_value(XmlVersion::Implicit1_0)?;
        if attribute.key.prefix().is_some() {
            element.xsi_type = value.rsplit(':').next().map(name);
        } else {
            element.object_type = Some(name(&value));
        }
    }
    Ok(element)
}

/// Nesting beyond this is refused: no vSphere reply comes near.
const MAX_DEPTH: usize = 64;

/// Reads a document piece by piece.
pub(crate) struct Pull<'a> {
    reader: Reader<&'a [u8]>,
}

/// What comes next at the current level.
pub(crate) enum Next {
    /// An element was entered; its content follows.
    Entered(Element),
    /// The current element ended, or the document did.
    Left,
}

impl<'a> Pull<'a> {
    pub(crate) fn new(xml: &'a str) -> Self {
        let mut reader = Reader::from_str(xml);
        reader.config_mut().expand_empty_elements = true;
        Pull { reader }
    }

    /// Moves on to the next child of the current element.
    pub(crate) fn next(&mut self) -> Result<Next, Malformed> {
        loop {
            match self.reader.read_event()? {
                Event::Start(start) => return Ok(Next::Entered(begin(&start)?)),
                Event::End(_) | Event::Eof => return Ok(Next::Left),
                Event::DocType(_) => return Err(document_type()),
                _ => {}
            }
        }
    }

    /// Reads the text of an element just entered, and over what elements it may have.
    pub(crate) fn text(&mut self) -> Result<Cow<'a, str>, Malformed> {
        let mut all = Cow::Borrowed("");
        loop {
            match self.reader.read_event()? {
                Event::Start(start) => drop(self.fill(begin(&start)?)?),
                Event::End(_) => return Ok(all),
                Event::Text(text) => join(&mut all, text.xml10_content()),
                Event::CData(text) => join(&mut all, text.xml10_content()),
                Event::GeneralRef(reference) => join(&mut all, Cow::Owned(resolve(&reference)?)),
                Event::Eof => return Err(cut_off()),
                Event::DocType(_) => return Err(document_type()),
                Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            }
        }
    }

    /// Reads all that is inside an element just entered.
    pub(crate) fn fill(&mut self, root: Element) -> Result<Element, Malformed> {
        let mut open = vec![root];
        loop {
            match self.reader.read_event()? {
                Event::Start(start) => {
                    if open.len() == MAX_DEPTH {
                        return Err(Malformed("nested too deep".to_owned()));
                    }
                    open.push(begin(&start)?);
                }
                Event::End(_) => {
                    let done = open.pop().expect("an end tag matches a start tag, the reader checks that");
                    match open.last_mut() {
                        Some(parent) => {
                            // White space between elements is layout, not content.
                            if parent.children.is_empty() && parent.text.trim().is_empty() {
                                parent.text.clear();
                            }
                            parent.children.push(done);
                        }
                        None => return Ok(done),
                    }
                }
                Event::Text(text) => {
                    let parent = open.last_mut().expect("the root stays open until its end tag");
                    let text = text.xml10_content();
                    if parent.children.is_empty() || !text.trim().is_empty() {
                        parent.text.push_str(&text);
                    }
                }
                Event::CData(text) => {
                    let parent = open.last_mut().expect("the root stays open until its end tag");
                    parent.text.push_str(&text.xml10_content());
                }
                Event::GeneralRef(reference) => {
                    let parent = open.last_mut().expect("the root stays open until its end tag");
                    parent.text.push_str(&resolve(&reference)?);
                }
                Event::Eof => return Err(cut_off()),
                Event::DocType(_) => return Err(document_type()),
                Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            }
        }
    }
}

fn join<'a>(all: &mut Cow<'a, str>, more: Cow<'a, str>) {
    if all.is_empty() {
        *all = more;
    } else {
        all.to_mut().push_str(&more);
    }
}

/// What a reference to a character or an entity stands for.
fn resolve(reference: &BytesRef<'_>) -> Result<String, Malformed> {
    if let Some(character) = reference.resolve_char_ref()? {
        return Ok(character.into());
    }
    let name = reference.xml10_content();
    let text = quick_xml::escape::resolve_predefined_entity(&name);
    text.map(str::to_owned).ok_or_else(|| Malformed(format!("unknown entity &{name};")))
}

fn cut_off() -> Malformed {
    Malformed("the document ends in the middle".to_owned())
}

fn document_type() -> Malformed {
    Malformed("a document type is not allowed".to_owned())
}

impl fmt::Debug for Pull<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pull").field("position", &self.reader.buffer_position()).finish()
    }
}

/// Reads a whole document into a tree.
pub(crate) fn parse(xml: &str) -> Result<Element, Malformed> {
    let mut pull = Pull::new(xml);
    match pull.next()? {
        Next::Entered(root) => pull.fill(root),
        Next::Left => Err(Malformed("the document is empty".to_owned())),
    }
}

/// A tree for tests of other modules.
#[cfg(test)]
pub(crate) fn parse_tree(xml: &str) -> Element {
    parse(xml).expect("test documents are well-formed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_type_and_an_xsi_type_are_told_apart_whatever_the_prefix() {
        let text = r#"<v xmlns:XMLSchema-instance="http://www.w3.org/2001/XMLSchema-instance"
            XMLSchema-instance:type="ns1:ManagedObjectReference" type="VirtualMachine">vm-42</v>"#;
        let element = parse(text).unwrap();
        assert_eq!(element.xsi_type.as_deref(), Some("ManagedObjectReference"));
        assert_eq!(element.moref().unwrap(), MoRef::new("VirtualMachine", "vm-42"));
    }

    #[test]
    fn layout_is_dropped_and_content_kept() {
        let element = parse("<a>\n  <b> x &amp; &#65;<![CDATA[<z>]]> </b>\n  <c/>\n</a>").unwrap();
        assert_eq!(element.text, "");
        assert_eq!(element.text_at("b"), Some(" x & A<z> "));
        assert_eq!(element.text_at("c"), Some(""));
    }

    #[test]
    fn the_text_of_an_element_is_the_same_whole_or_alone() {
        for content in ["plain", " x &amp; &#65;<![CDATA[<z>]]> ", "", "a&lt;b"] {
            let document = format!("<a><b>{content}</b><c>1</c></a>");
            let mut pull = Pull::new(&document);
            assert!(matches!(pull.next(), Ok(Next::Entered(_))));
            assert!(matches!(pull.next(), Ok(Next::Entered(_))));
            assert_eq!(pull.text().unwrap(), parse(&document).unwrap().text_at("b").unwrap());
            assert!(matches!(pull.next(), Ok(Next::Entered(next)) if next.name == "c"));
        }
        let mut pull = Pull::new("<b>cut");
        assert!(pull.next().is_ok() && pull.text().is_err());
    }

    #[test]
    fn a_document_type_an_unknown_entity_and_a_cut_are_refused() {
        for text in
            ["<!DOCTYPE a [<!ENTITY e \"x\">]><a>&e;</a>", "<a>&e;</a>", "<a><b>", "", &"<a>".repeat(100)]
        {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
