//! Writing a tree as it is.
//!
//! What must hold: a text is read as it was written, also when it looks like an address. The codec would write any short
//! text with an `@` as a JID: `10:30@home` arrives as `10@home`, and most readers know nothing of a server `home`.

use wacore_binary::encoder::{ByteWriter, Encoder};
use wacore_binary::{BinaryError, Jid, Node, NodeContent, NodeValue, Server};

/// A flags byte (0) and the tree.
pub(super) fn write(stanza: &Node) -> Result<Vec<u8>, BinaryError> {
    let mut bytes = Vec::with_capacity(512);
    element(stanza, &mut Encoder::new_vec(&mut bytes)?)?;
    Ok(bytes)
}

fn element<W: ByteWriter>(stanza: &Node, encoder: &mut Encoder<'_, W>) -> Result<(), BinaryError> {
    // A list of no children is read as no content.
    let content = stanza.content.as_ref();
    let content = content.filter(|content| !matches!(content, NodeContent::Nodes(none) if none.is_empty()));
    encoder.write_list_start(1 + 2 * stanza.attrs.len() + usize::from(content.is_some()))?;
    text(&stanza.tag, encoder)?;
    for (key, value) in &stanza.attrs {
        text(key, encoder)?;
        match value {
            NodeValue::String(value) => text(value, encoder)?,
            NodeValue::Jid(jid) => encoder.write_jid_owned(jid)?,
        }
    }
    match content {
        Some(NodeContent::String(content)) => text(content, encoder),
        Some(NodeContent::Bytes(bytes)) => encoder.write_bytes_with_len(bytes),
        Some(NodeContent::Nodes(children)) => {
            encoder.write_list_start(children.len())?;
            children.iter().try_for_each(|child| element(child, encoder))
        }
        None => Ok(()),
    }
}

fn text<W: ByteWriter>(text: &str, encoder: &mut Encoder<'_, W>) -> Result<(), BinaryError> {
    if !text.contains('@') {
        return encoder.write_string(text);
    }
    match text.parse::<Jid>() {
        Ok(jid) if is_whole_on_the_wire(&jid) && jid.to_string() == text => encoder.write_jid_owned(&jid),
        _ => encoder.write_bytes_with_len(text.as_bytes()),
    }
}

/// Whether the form of an address on the wire has all of it: that of a device is for people alone, and none has an agent.
fn is_whole_on_the_wire(jid: &Jid) -> bool {
    let person = matches!(jid.server, Server::Pn | Server::Lid | Server::Hosted | Server::HostedLid);
    let device = jid.device == 0 || person && u8::try_from(jid.device).is_ok();
    device && jid.agent == 0 && jid.integrator == 0
}
