//! Writes the XML of a request. Elements come out in the order they are written: the wire order matters to
//! vSphere.

use quick_xml::escape::escape;

use super::element::MoRef;

/// XML under construction.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    out: String,
}

impl Writer {
    /// `<name>text</name>`, escaped; characters XML cannot carry are left out.
    pub(crate) fn text(&mut self, name: &str, text: &str) {
        self.leaf(name, "", text);
    }

    /// A number or boolean.
    pub(crate) fn value(&mut self, name: &str, value: impl ToString) {
        self.leaf(name, "", &value.to_string());
    }

    /// A managed object reference.
    pub(crate) fn moref(&mut self, name: &str, object: &MoRef) {
        let attributes = format!(" type=\"{}\"", escape(object.kind.as_str()));
        self.leaf(name, &attributes, &object.id);
    }

    /// An element with content.
    pub(crate) fn nest(&mut self, name: &str, content: impl FnOnce(&mut Writer)) {
        self.element(name, "", content);
    }

    /// An element with content whose declared type is an ancestor of `xsi_type`.
    pub(crate) fn typed(&mut self, name: &str, xsi_type: &str, content: impl FnOnce(&mut Writer)) {
        self.element(name, &format!(" xsi:type=\"{xsi_type}\""), content);
    }

    /// An element with attributes, given as they stand in the tag with a leading space.
    pub(crate) fn element(&mut self, name: &str, attributes: &str, content: impl FnOnce(&mut Writer)) {
        self.out.extend(["<", name, attributes, ">"]);
        content(self);
        self.out.extend(["</", name, ">"]);
    }

    pub(crate) fn finish(self) -> String {
        self.out
    }

    fn leaf(&mut self, name: &str, attributes: &str, text: &str) {
        let legal: String = text
            .chars()
            .filter(|c| {
                matches!(c, '\t' | '\n' | '\r') || (*c >= ' ' && !matches!(c, '\u{fffe}' | '\u{ffff}'))
            })
            .collect();
        self.out.extend(["<", name, attributes, ">", &escape(legal), "</", name, ">"]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::soap::element::parse;

    #[test]
    fn any_text_survives_writing_and_reading() {
        for text in ["a<b>&\"'c", " lead and trail ", "Grüße 🦀", "line\nline\ttab\r", "]]>", "&amp;", ""]
        {
            let mut writer = Writer::default();
            writer.nest("root", |w| w.text("name", text));
            assert_eq!(parse(&writer.finish()).unwrap().text_at("name"), Some(text), "{text:?}");
        }
    }

    #[test]
    fn characters_xml_cannot_carry_are_left_out() {
        let mut writer = Writer::default();
        writer.text("name", "a\0b\u{1b}c\u{ffff}");
        assert_eq!(writer.finish(), "<name>abc</name>");
    }

    #[test]
    fn a_reference_survives_writing_and_reading() {
        let object = MoRef::new("VirtualMachine", "vm-1\"<&>");
        let mut writer = Writer::default();
        writer.moref("obj", &object);
        assert_eq!(parse(&writer.finish()).unwrap().moref().unwrap(), object);
    }
}
