//! The name of a business, as WhatsApp has certified it: beside what it shows of itself, and beside what it says.

use prost::Message as _;

use crate::stanza::{Read, Stanza};

/// The name in the certificate that is a child of this element, `<verified_name>`. WhatsApp vouches for it, so its
/// signature is not checked. `None` where there is none, or one without a name.
pub fn verified_name(of: &Stanza) -> Option<String> {
    let certificate = Certificate::decode(of.child("verified_name")?.leaf()?).ok()?;
    let details = Details::decode(certificate.details.as_slice()).ok()?;
    Some(details.verified_name).filter(|name| !name.is_empty())
}

#[derive(Clone, PartialEq, prost::Message)]
struct Certificate {
    #[prost(bytes = "vec", tag = "1")]
    details: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Details {
    #[prost(string, tag = "4")]
    verified_name: String,
}

/// The content of `<verified_name>` for a name. Nobody has signed it.
pub fn certificate(name: &str) -> Vec<u8> {
    let details = Details { verified_name: name.to_owned() }.encode_to_vec();
    Certificate { details }.encode_to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stanza::Builder;

    #[test]
    fn a_certificate_that_is_none_has_no_name() {
        let beside = |bytes: Vec<u8>| {
            let name = Builder::new("verified_name").attr("v", 1u8).bytes(bytes).build();
            verified_name(&Builder::new("message").children([name]).build())
        };
        assert_eq!(beside(certificate("Ada's Shop")).as_deref(), Some("Ada's Shop"));
        assert_eq!(beside(certificate("")), None);
        assert_eq!(beside(vec![0xff; 9]), None);
        assert_eq!(verified_name(&Builder::new("message").build()), None);
    }
}
