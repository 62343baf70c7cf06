//! Questions about polls as typed values.

use roost_proto::api;
use roost_proto::id::DeviceKey;
use roost_proto::stanza::Jid;

use super::{device, user};
use crate::errors::ApiError;

/// Longest id of a message.
const MAX_ID: usize = 128;

/// A poll that is asked for.
#[derive(Debug, PartialEq)]
pub struct Asked {
    /// WhatsApp's id of it.
    pub id: String,
    /// Who made it; `None`: this account.
    pub author: Option<Jid>,
}

/// `GetPollResults`.
pub fn results(request: &api::GetPollResultsRequest) -> Result<(DeviceKey, Asked), ApiError> {
    let key = device("device", &request.device)?;
    let poll = request.poll.as_ref().ok_or_else(|| ApiError::field("poll", "is required"))?;
    let id = poll.whatsapp_id.clone();
    if id.is_empty() || id.len() > MAX_ID {
        return Err(ApiError::field("poll.whatsapp_id", format!("must have 1 to {MAX_ID} bytes")));
    }
    let author = match (poll.from_me, &*poll.sender) {
        (true, _) => None,
        (false, "") => {
            return Err(ApiError::field("poll.sender", "is required: who made the poll, unless from_me"));
        }
        (false, sender) => Some(user("poll.sender", sender)?),
    };
    Ok((key, Asked { id, author }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_poll_is_named_by_its_id_and_its_author_or_refused() {
        let asked = |whatsapp_id: &str, from_me, sender: &str| {
            let (whatsapp_id, sender) = (whatsapp_id.to_owned(), sender.to_owned());
            let poll = Some(api::MessageRef { whatsapp_id, from_me, sender });
            results(&api::GetPollResultsRequest { device: "tenants/acme/devices/shop".into(), poll })
        };
        let refused = |whatsapp_id: &str, from_me, sender: &str| match asked(whatsapp_id, from_me, sender) {
            Err(ApiError::InvalidField { field, .. }) => field,
            other => panic!("{other:?}"),
        };
        assert_eq!(
            asked("3EB0", true, "").expect("well formed").1,
            Asked { id: "3EB0".into(), author: None }
        );
        let (_, of_another) = asked("3EB0", false, "77777@lid").expect("well formed");
        assert_eq!(of_another.author, Some(Jid::lid("77777")));
        assert_eq!(refused("", true, ""), "poll.whatsapp_id");
        assert_eq!(refused(&"x".repeat(129), true, ""), "poll.whatsapp_id");
        assert_eq!(refused("3EB0", false, ""), "poll.sender");
        assert_eq!(refused("3EB0", false, "somebody"), "poll.sender");
        let nothing = api::GetPollResultsRequest { device: "tenants/acme/devices/shop".into(), poll: None };
        assert!(results(&nothing).is_err());
    }
}
