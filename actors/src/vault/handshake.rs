//! What a device says of itself in the last message of a handshake.

use roost_proto::login::{self, ClientInfo, ClientPayload, Login, Registration};
use roost_proto::signal::KeyPair;
use roost_proto::version::ProtocolVersion;

use super::Vault;
use crate::device::Profile;
use crate::machine::DialLogin;

impl Vault {
    /// What a handshake needs: the Noise key pair and the payload of the last message.
    pub fn handshake(
        &mut self,
        login: Option<DialLogin>,
        version: ProtocolVersion,
        profile: &Profile,
    ) -> Option<(KeyPair, Vec<u8>)> {
        let keys = self.keys.as_ref()?;
        let payload = match login {
            Some(DialLogin { username, device }) => ClientPayload::Login(Login {
                username,
                device: Some(device),
                passive: true,
                login_counter: 1,
            }),
            None => {
                self.platform = profile.platform;
                ClientPayload::Registration(Registration {
                    registration_id: keys.registration_id(),
                    identity: *keys.identity().public(),
                    signed_prekey: keys.signed_prekey(),
                    push_name: None,
                    os: profile.name.clone(),
                    platform: profile.platform,
                })
            }
        };
        let Profile { language, country, .. } = profile.clone();
        let client = ClientInfo { version, language, country };
        Some((keys.noise().clone(), login::build(&payload, &client)))
    }
}
