use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use quick_xml::escape::{escape, partial_escape};
use serde::Serialize;

use super::fault::Fault;

/// A managed object reference: type and id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub(crate) struct MoRef {
    #[serde(rename = "type")]
    pub(crate) ty: String,
    pub(crate) id: String,
}

impl MoRef {
    pub(crate) fn new(ty: impl Into<String>, id: impl Into<String>) -> Self {
        Self { ty: ty.into(), id: id.into() }
    }
}

/// A value of the VIM object model, as it goes over the wire. A copy shares what is large: a collector keeps what it
/// told.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Text(Arc<str>),
    Bool(bool),
    Short(i16),
    Int(i32),
    Long(i64),
    Time(DateTime<Utc>),
    /// Schema type and member.
    Enum(&'static str, &'static str),
    Ref(MoRef),
    Struct(Struct),
    /// Schema type of the items, and the items.
    Array(&'static str, Vec<Value>),
    /// A fault inside another object; the field is declared MethodFault.
    Fault(Box<Fault>),
    /// A value in a field declared `anyType`: its schema type is written out.
    Any(Arc<Value>),
}

/// A data object; fields stand in the order of the schema.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Struct {
    ty: &'static str,
    subtype: bool,
    fields: Arc<Vec<(&'static str, Value)>>,
}

impl Struct {
    /// A data object of exactly the type its field declares.
    pub(crate) fn new(ty: &'static str) -> Self {
        Self { ty, subtype: false, fields: Arc::default() }
    }

    /// A data object of a type derived from the declared one: says so on the wire.
    pub(crate) fn subtype(ty: &'static str) -> Self {
        Self { subtype: true, ..Self::new(ty) }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        Arc::make_mut(&mut self.fields).push((name, value.into()));
        self
    }

    pub(crate) fn maybe(self, name: &'static str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.fields.iter().find(|(field, _)| *field == name).map(|(_, value)| value)
    }
}

impl Value {
    pub(crate) fn any(value: impl Into<Value>) -> Self {
        Self::Any(Arc::new(value.into()))
    }

    pub(crate) fn refs(refs: impl IntoIterator<Item = MoRef>) -> Self {
        Self::Array("ManagedObjectReference", refs.into_iter().map(Value::Ref).collect())
    }

    pub(crate) fn list(item: &'static str, items: impl IntoIterator<Item = Struct>) -> Self {
        Self::Array(item, items.into_iter().map(Value::Struct).collect())
    }

    /// References held by the value, for a traversal.
    pub(crate) fn into_refs(self) -> Vec<MoRef> {
        match self {
            Self::Ref(moref) => vec![moref],
            Self::Array(_, items) => items.into_iter().flat_map(Value::into_refs).collect(),
            _ => Vec::new(),
        }
    }

    fn schema_type(&self) -> Cow<'_, str> {
        let name = match self {
            Self::Text(_) => "xsd:string",
            Self::Bool(_) => "xsd:boolean",
            Self::Short(_) => "xsd:short",
            Self::Int(_) => "xsd:int",
            Self::Long(_) => "xsd:long",
            Self::Time(_) => "xsd:dateTime",
            Self::Enum(ty, _) => ty,
            Self::Ref(_) => "ManagedObjectReference",
            Self::Struct(data) => data.ty,
            Self::Array(item, _) => {
                let (first, rest) = item.split_at(1);
                return format!("ArrayOf{}{rest}", first.to_uppercase()).into();
            }
            Self::Fault(fault) => &fault.name,
            Self::Any(inner) => return inner.schema_type(),
        };
        name.into()
    }

    /// Writes the value as element `name` where the schema declares its type.
    /// An array becomes one element an item.
    pub(crate) fn write(&self, name: &str, out: &mut String) {
        match self {
            Self::Array(_, items) => {
                for item in items {
                    item.write(name, out);
                }
            }
            Self::Any(inner) => inner.write_any(name, out),
            Self::Fault(_) => self.write_any(name, out),
            Self::Struct(data) if data.subtype => self.write_any(name, out),
            _ => self.write_element(name, false, out),
        }
    }

    /// Writes the value as element `name` where the schema says `anyType`.
    fn write_any(&self, name: &str, out: &mut String) {
        match self {
            Self::Any(inner) => inner.write_any(name, out),
            _ => self.write_element(name, true, out),
        }
    }

    fn write_element(&self, name: &str, typed: bool, out: &mut String) {
        out.extend(["<", name]);
        if typed {
            out.extend([" xsi:type=\"", &self.schema_type(), "\""]);
        }
        if let Self::Ref(moref) = self {
            out.extend([" type=\"", &escape(&*moref.ty), "\""]);
        }
        out.push('>');
        match self {
            Self::Text(text) => out.push_str(&partial_escape(&**text)),
            Self::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
            Self::Short(number) => write!(out, "{number}").expect("writing to a string"),
            Self::Int(number) => write!(out, "{number}").expect("writing to a string"),
            Self::Long(number) => write!(out, "{number}").expect("writing to a string"),
            Self::Time(time) => {
                write!(out, "{}", time.format("%Y-%m-%dT%H:%M:%S%.6fZ")).expect("writing to a string");
            }
            Self::Enum(_, member) => out.push_str(member),
            Self::Ref(moref) => out.push_str(&escape(&*moref.id)),
            Self::Struct(data) => {
                for (field, value) in &*data.fields {
                    value.write(field, out);
                }
            }
            Self::Array(item, items) => {
                for value in items {
                    value.write(item, out);
                }
            }
            Self::Fault(fault) => {
                for (field, value) in &fault.fields {
                    value.write(field, out);
                }
            }
            Self::Any(inner) => inner.write_element(name, typed, out),
        }
        out.extend(["</", name, ">"]);
    }
}

macro_rules! from {
    ($($source:ty => $variant:ident),*) => {
        $(impl From<$source> for Value {
            fn from(value: $source) -> Self {
                Self::$variant(value.into())
            }
        })*
    };
}

from!(&str => Text, String => Text, Arc<str> => Text, bool => Bool, i16 => Short, i32 => Int, i64 => Long,
    DateTime<Utc> => Time, MoRef => Ref, Struct => Struct);

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        Self::Text(text.as_str().into())
    }
}

impl From<&MoRef> for Value {
    fn from(moref: &MoRef) -> Self {
        Self::Ref(moref.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(value: impl Into<Value>) -> String {
        let mut out = String::new();
        value.into().write("v", &mut out);
        out
    }

    #[test]
    fn arrays_repeat_the_element_where_declared_and_are_wrapped_where_not() {
        let array = Value::refs([MoRef::new("Folder", "f1"), MoRef::new("Folder", "f2")]);
        assert_eq!(written(array.clone()), r#"<v type="Folder">f1</v><v type="Folder">f2</v>"#);
        let any = written(Value::any(array));
        assert!(
            any.starts_with(r#"<v xsi:type="ArrayOfManagedObjectReference"><ManagedObjectReference type="#)
        );
        let ints = written(Value::any(Value::Array("int", vec![Value::Int(1)])));
        assert_eq!(ints, r#"<v xsi:type="ArrayOfInt"><int>1</int></v>"#);
    }

    #[test]
    fn subtypes_name_themselves_and_text_is_escaped() {
        let device = Struct::subtype("VirtualDisk").with("key", 2000).with("label", "a<b");
        let list = Value::any(Value::list("VirtualDevice", [device]));
        assert_eq!(
            written(list),
            r#"<v xsi:type="ArrayOfVirtualDevice"><VirtualDevice xsi:type="VirtualDisk"><key>2000</key><label>a&lt;b</label></VirtualDevice></v>"#
        );
    }
}
