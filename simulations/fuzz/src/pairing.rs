//! What a phone, and the server between, say while a device is paired.

use roost_actors::device::{Command, PairMethod};
use roost_proto::pair_code::PairCode;
use roost_proto::pairing::QrCode;
use roost_proto::stanza;

use super::device::{Device, identity, pair_success, showing_a_code};
use super::input::{changed, choice, pieces};

/// The first byte chooses where the rest comes.
pub fn pairing(data: &[u8]) {
    let (which, rest) = choice(data);
    match which {
        0 => {
            // The identity that the phone signed.
            let mut device = showing_a_code();
            device.receive(pair_success(rest));
            device.rest();
            device.wait();
        }
        1 => {
            let mut device = showing_a_code();
            let good = identity(device.codes.first().expect("it shows a code"));
            device.receive(pair_success(&changed(&good, rest)));
            device.rest();
            device.wait();
        }
        2 => talk(showing_a_code(), rest),
        3 => {
            let mut device = Device::unpaired();
            device.rest();
            let method = PairMethod::PhoneCode { phone: "4915100000000".to_owned(), code: None };
            device.command(Command::Pair(Box::new(method.into())));
            device.go_up();
            device.receive(super::device::pair_device());
            device.rest();
            talk(device, rest);
        }
        _ => {
            let Ok(text) = std::str::from_utf8(rest) else { return };
            if let Ok(code) = text.parse::<QrCode>() {
                let again = code.to_string().parse::<QrCode>().expect("what is written can be read");
                assert_eq!(again.to_string(), code.to_string());
            }
            if let Ok(code) = text.parse::<PairCode>() {
                let again = code.to_string().parse::<PairCode>().expect("what is written can be read");
                assert_eq!(again.to_string(), code.to_string());
            }
        }
    }
}

/// Any stanzas in between.
fn talk(mut device: Device, data: &[u8]) {
    for raw in pieces(data) {
        if let Ok(stanza) = stanza::decode(raw) {
            device.answer(stanza);
            device.rest();
        }
    }
    device.wait();
}
