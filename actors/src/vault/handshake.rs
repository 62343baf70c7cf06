//! What a device says of itself in the last message of a handshake.

use roost_proto::login::{self, ClientInfo, ClientPayload, Login, Registration};
use roost_proto::signal::KeyPair;
use roost_proto::version::ProtocolVersion;

use super::Vault;
use crate::device::{Appearance, Profile};
use crate::machine::{DialAs, DialLogin};

impl Vault {
    /// What a handshake needs: the Noise key pair and the payload of the last message.
    pub fn handshake(
        &mut self,
        dial: &DialAs,
        version: ProtocolVersion,
        profile: &Profile,
    ) -> Option<(KeyPair, Vec<u8>)> {
        let keys = self.keys.as_ref()?;
        let payload = match dial {
            DialAs::Login(DialLogin { username, device }) => ClientPayload::Login(Login {
                username: *username,
                device: Some(*device),
                passive: true,
                login_counter: 1,
            }),
            DialAs::Pairing(Appearance { name, platform }, full_history) => {
                self.platform = platform.unwrap_or(profile.platform);
                ClientPayload::Registration(Registration {
                    registration_id: keys.registration_id(),
                    identity: *keys.identity().public(),
                    signed_prekey: keys.signed_prekey(),
                    push_name: None,
                    os: name.as_ref().unwrap_or(&profile.name).clone(),
                    platform: self.platform,
                    full_history: *full_history,
                })
            }
        };
        let Profile { language, country, .. } = profile.clone();
        let client = ClientInfo { version, language, country };
        Some((keys.noise().clone(), login::build(&payload, &client)))
    }
}
