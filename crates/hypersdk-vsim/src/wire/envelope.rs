use quick_xml::escape::escape;

use super::fault::Fault;
use super::tree::Node;
use super::value::{MoRef, Value};

const HEAD: &str = concat!(
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n",
    "<soapenv:Envelope xmlns:soapenc=\"http://schemas.xmlsoap.org/soap/encoding/\" ",
    "xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\" ",
    "xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\" ",
    "xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\">\n<soapenv:Body>\n"
);
const TAIL: &str = "\n</soapenv:Body>\n</soapenv:Envelope>";

/// One method call, as read from a SOAP envelope.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: String,
    pub(crate) this: MoRef,
    /// The method's element: its children are the arguments.
    pub(crate) arguments: Node,
}

/// Reads a SOAP envelope; a body that is not one gives `InvalidRequest`.
pub(crate) fn parse_call(document: &str) -> Result<Call, Fault> {
    let envelope = Node::parse(document)
        .map_err(|why| Fault::invalid_request(format!("XML document element could not be parsed: {why}")))?;
    let method = envelope
        .child("Body")
        .filter(|_| envelope.name == "Envelope")
        .and_then(|body| body.children.first())
        .ok_or_else(|| {
            Fault::invalid_request("The request is not a SOAP envelope with a method in its body.")
        })?;
    let this = method
        .reference("_this")
        .ok_or_else(|| Fault::invalid_request(format!("The call of {} names no object.", method.name)))?;
    Ok(Call { method: method.name.clone(), this, arguments: method.clone() })
}

/// A reply; an array gives one `returnval` an item, `None` an empty response.
pub(crate) fn reply(method: &str, value: Option<&Value>) -> String {
    let mut out = String::from(HEAD);
    out.push_str(&format!("<{method}Response xmlns=\"urn:vim25\">"));
    if let Some(value) = value {
        value.write("returnval", &mut out);
    }
    out.push_str(&format!("</{method}Response>"));
    out.push_str(TAIL);
    out
}

/// A SOAP fault with the VIM fault as typed detail.
pub(crate) fn fault_reply(fault: &Fault) -> String {
    let mut out = String::from(HEAD);
    let code = if fault.name == "InvalidRequest" { "Client" } else { "ServerFaultCode" };
    out.push_str(&format!(
        "<soapenv:Fault><faultcode>{code}</faultcode><faultstring>{}</faultstring><detail>\
         <{name}Fault xmlns=\"urn:vim25\" xsi:type=\"{name}\">",
        escape(&fault.message),
        name = fault.name,
    ));
    for (field, value) in &fault.fields {
        value.write(field, &mut out);
    }
    out.push_str(&format!("</{}Fault></detail></soapenv:Fault>", fault.name));
    out.push_str(TAIL);
    out
}
