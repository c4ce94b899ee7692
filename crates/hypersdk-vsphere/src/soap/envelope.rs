//! Envelopes: a call becomes a document, a document becomes a reply or a fault.

use std::borrow::Cow;

use super::element::{Element, Malformed, MoRef, Next, Pull};
use super::fault::Fault;
use super::transport::CallError;
use super::writer::Writer;

/// One method of one managed object: how it is written, how its reply is read, and what may be done when it
/// fails. The API layer implements it, a method a type.
pub(crate) trait Call: Send + Sync {
    /// The method's name on the wire.
    const METHOD: &'static str;
    /// Doing it twice does no more than doing it once, so it may be repeated when the reply was lost.
    const IDEMPOTENT: bool;
    /// It names an object that dies with the session, so a new session cannot repeat it.
    const SESSION_BOUND: bool = false;
    /// What comes back.
    type Reply: Send;

    /// The object the method is called on.
    fn this(&self) -> &MoRef;

    /// Writes the parameters after `_this`, in wire order.
    fn write(&self, _out: &mut Writer) {}

    /// Reads the reply, a document.
    fn read(&self, document: String) -> Result<Self::Reply, CallError>;

    /// How long the server may take on purpose, in addition to the usual time limit.
    fn patience(&self) -> std::time::Duration {
        std::time::Duration::ZERO
    }
}

/// The request document of a call.
pub(crate) fn request<C: Call>(call: &C, op_id: &str) -> String {
    let mut out = Writer::default();
    let namespaces = " xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\" \
                      xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" \
                      xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\"";
    out.element("soapenv:Envelope", namespaces, |out| {
        out.nest("soapenv:Header", |out| out.text("operationID", op_id));
        out.nest("soapenv:Body", |out| {
            out.element(C::METHOD, " xmlns=\"urn:vim25\"", |out| {
                out.moref("_this", call.this());
                call.write(out);
            });
        });
    });
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{}", out.finish())
}

/// Reads `returnval` elements one at a time, so that a large reply is never a large tree.
#[derive(Debug)]
pub(crate) struct ReplyReader<'a> {
    pull: Pull<'a>,
}

impl<'a> ReplyReader<'a> {
    /// Finds the method's answer in a reply document.
    ///
    /// # Errors
    /// [`CallError::Fault`] if the answer is a fault.
    pub(crate) fn open(xml: &'a str) -> Result<Self, CallError> {
        let mut pull = Pull::new(xml);
        match pull.next()? {
            Next::Entered(root) if root.name == "Envelope" => {}
            _ => return Err(Malformed("the reply is not a SOAP envelope".to_owned()).into()),
        }
        loop {
            match pull.next()? {
                Next::Entered(element) if element.name == "Body" => break,
                Next::Entered(other) => drop(pull.fill(other)?),
                Next::Left => return Err(Malformed::missing("Body", "Envelope").into()),
            }
        }
        match pull.next()? {
            Next::Entered(element) if element.name == "Fault" => {
                let element = pull.fill(element)?;
                Err(CallError::Fault(Box::new(Fault::from_soap(&element))))
            }
            Next::Entered(_) => Ok(ReplyReader { pull }),
            Next::Left => Err(Malformed("the reply's body is empty".to_owned()).into()),
        }
    }

    /// The next `returnval`, whole.
    pub(crate) fn next_value(&mut self) -> Result<Option<Element>, Malformed> {
        match self.enter()? {
            Some(element) => self.pull.fill(element).map(Some),
            None => Ok(None),
        }
    }

    /// The one `returnval` that has to be there.
    pub(crate) fn value(&mut self) -> Result<Element, Malformed> {
        self.next_value()?.ok_or_else(|| Malformed("the reply has no value".to_owned()))
    }

    /// The one `returnval` as a managed object reference.
    pub(crate) fn moref(&mut self) -> Result<MoRef, Malformed> {
        self.value()?.moref()
    }

    /// Steps into the first `returnval`, if there is one; [`enter_child`](Self::enter_child) goes on from there.
    pub(crate) fn enter_value(&mut self) -> Result<bool, Malformed> {
        Ok(self.enter()?.is_some())
    }

    /// Steps into the next child of the element stepped into: [`fill`](Self::fill) reads it whole, [`text`](Self::text)
    /// its text, or this again its own children. `None` steps out.
    pub(crate) fn enter_child(&mut self) -> Result<Option<Element>, Malformed> {
        match self.pull.next()? {
            Next::Entered(element) => Ok(Some(element)),
            Next::Left => Ok(None),
        }
    }

    /// The rest of an element that was stepped into.
    pub(crate) fn fill(&mut self, element: Element) -> Result<Element, Malformed> {
        self.pull.fill(element)
    }

    /// The text of an element that was stepped into.
    pub(crate) fn text(&mut self) -> Result<Cow<'a, str>, Malformed> {
        self.pull.text()
    }

    fn enter(&mut self) -> Result<Option<Element>, Malformed> {
        loop {
            match self.pull.next()? {
                Next::Entered(element) if element.name == "returnval" => return Ok(Some(element)),
                Next::Entered(other) => drop(self.pull.fill(other)?),
                Next::Left => return Ok(None),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::soap::element::parse;
    use crate::soap::fault::FaultKind;

    struct Rename {
        vm: MoRef,
        name: &'static str,
    }

    impl Call for Rename {
        const METHOD: &'static str = "Rename_Task";
        const IDEMPOTENT: bool = true;
        type Reply = Vec<Element>;

        fn this(&self) -> &MoRef {
            &self.vm
        }

        fn write(&self, out: &mut Writer) {
            out.text("newName", self.name);
        }

        fn read(&self, document: String) -> Result<Self::Reply, CallError> {
            let (mut reply, mut values) = (ReplyReader::open(&document)?, Vec::new());
            while let Some(value) = reply.next_value()? {
                values.push(value);
            }
            Ok(values)
        }
    }

    #[test]
    fn a_request_carries_the_operation_id_the_object_and_the_parameters() {
        let call = Rename { vm: MoRef::new("VirtualMachine", "vm-1"), name: "a<b" };
        let tree = parse(&request(&call, "job-7-1")).unwrap();
        assert_eq!(tree.text_at("Header/operationID"), Some("job-7-1"));
        let method = tree.at("Body/Rename_Task").unwrap();
        assert_eq!(method.moref_at("_this"), Some(call.vm));
        assert_eq!(method.text_at("newName"), Some("a<b"));
    }

    #[test]
    fn values_come_one_by_one_and_end() {
        let xml = r#"<?xml version="1.0"?><s:Envelope xmlns:s="x"><s:Header><a/></s:Header><s:Body>
            <Rename_TaskResponse xmlns="urn:vim25"><returnval type="Task">task-1</returnval>
            <returnval type="Task">task-2</returnval></Rename_TaskResponse></s:Body></s:Envelope>"#;
        let call = Rename { vm: MoRef::new("VirtualMachine", "vm-1"), name: "x" };
        let values = call.read(xml.to_owned()).unwrap();
        let ids: Vec<_> = values.iter().map(|value| value.text.as_str()).collect();
        assert_eq!(ids, ["task-1", "task-2"]);
    }

    #[test]
    fn a_fault_comes_out_as_a_fault() {
        let xml = r#"<s:Envelope xmlns:s="x"><s:Body><s:Fault><faultcode>ServerFaultCode</faultcode>
            <faultstring>Permission was denied</faultstring><detail><NoPermissionFault xmlns:i="y"
            i:type="v:NoPermission"><object type="VirtualMachine">vm-1</object>
            <privilegeId>VApp.Export</privilegeId></NoPermissionFault></detail></s:Fault></s:Body></s:Envelope>"#;
        match ReplyReader::open(xml) {
            Err(CallError::Fault(fault)) => {
                assert_eq!(fault.kind(), FaultKind::NoPermission);
                assert_eq!(fault.detail("privilegeId"), Some("VApp.Export"));
                assert_eq!(fault.detail("object"), Some("vm-1"));
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_web_page_is_not_a_reply() {
        let error = ReplyReader::open("<html><body>503</body></html>").unwrap_err();
        assert!(matches!(error, CallError::Malformed(_)), "{error:?}");
    }
}
