//! Peer devices as the libraries name them, as JIDs.

/// `user_1:2` (whatsmeow) or `user_1.2` (Baileys): the number behind the underscore is the kind of user, 1 for a
/// LID and none for a phone number. Others (hosted accounts, bots) are `None`.
pub(super) fn agent(name: &str) -> Option<String> {
    let (user, device) = name.rsplit_once([':', '.'])?;
    let device: u16 = device.parse().ok()?;
    let (user, server) = match user.split_once('_') {
        None => (user, "s.whatsapp.net"),
        Some((user, "1")) => (user, "lid"),
        Some(_) => return None,
    };
    jid(user, device, server)
}

/// `user:2@lid.0` or `user@c.us.0` (whatsapp-rust).
pub(super) fn protocol(name: &str) -> Option<String> {
    let (user, server) = name.strip_suffix(".0")?.split_once('@')?;
    let (user, device) = match user.split_once(':') {
        Some((user, device)) => (user, device.parse().ok()?),
        None => (user, 0),
    };
    match server {
        "c.us" => jid(user, device, "s.whatsapp.net"),
        "lid" => jid(user, device, "lid"),
        _ => None,
    }
}

/// A contact without a device, by JID.
pub(super) fn contact(name: &str) -> Option<String> {
    match name.split_once('@')? {
        (user, "lid") => jid(user, 0, "lid"),
        (user, "s.whatsapp.net" | "c.us") => jid(user, 0, "s.whatsapp.net"),
        _ => None,
    }
}

/// Whether somebody who names a device by phone number, by `number:device` or by JID may mean this one.
pub(super) fn is_meant(wanted: &str, own: &str) -> bool {
    let (wanted, own) = (wanted.trim().trim_start_matches('+'), own.split('@').next().unwrap_or_default());
    let wanted = wanted.strip_suffix("@s.whatsapp.net").unwrap_or(wanted);
    wanted == own || own.split_once(':').is_some_and(|(number, _)| wanted == number)
}

fn jid(user: &str, device: u16, server: &str) -> Option<String> {
    let digits = !user.is_empty() && user.bytes().all(|b| b.is_ascii_digit());
    match device {
        _ if !digits => None,
        0 => Some(format!("{user}@{server}")),
        device => Some(format!("{user}:{device}@{server}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_are_read_as_each_library_names_them() {
        let both = |name: &str| (agent(name), protocol(name));
        let jid = |text: &str| Some(text.to_owned());
        assert_eq!(both("4915112:0"), (jid("4915112@s.whatsapp.net"), None));
        assert_eq!(both("4915112.33"), (jid("4915112:33@s.whatsapp.net"), None));
        assert_eq!(both("987_1:2"), (jid("987:2@lid"), None));
        assert_eq!(both("987_1.0"), (jid("987@lid"), None));
        assert_eq!(both("987_128:2"), (None, None), "hosted");
        assert_eq!(both("987:2@lid.0"), (None, jid("987:2@lid")));
        assert_eq!(both("4915112@c.us.0"), (None, jid("4915112@s.whatsapp.net")));
        assert_eq!(both("4915112@c.us.1"), (None, None));
        assert_eq!(both("867051314767696:2@bot.0"), (None, None));
    }

    #[test]
    fn a_device_is_meant_by_number_by_number_and_device_and_by_jid() {
        let own = "4915:7@s.whatsapp.net";
        for wanted in ["4915", "+4915", "4915:7", "4915:7@s.whatsapp.net", "4915@s.whatsapp.net"] {
            assert!(is_meant(wanted, own), "{wanted}");
        }
        for wanted in ["", "491", "4915:8", "7", "4915:7@lid"] {
            assert!(!is_meant(wanted, own), "{wanted}");
        }
    }
}
