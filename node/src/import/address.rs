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
}
