//! The choice of a protocol version, as a caller asks for it.

use std::collections::BTreeSet;

use roost_proto::api::{self, set_protocol_version_request as wanted};
use roost_proto::version::{Canary, ProtocolVersion, VersionError};

use super::device;
use crate::errors::ApiError;

/// The most devices that are canaries by their names.
const NAMED: usize = 100;

/// A change of the choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// All devices log in with this, or with the one that is built in.
    Stable(Option<ProtocolVersion>),
    /// Some try this; none when absent.
    Canary(Option<Canary>),
}

/// A request to choose.
pub fn choice(request: &api::SetProtocolVersionRequest) -> Result<Choice, ApiError> {
    let version = match request.version.as_str() {
        "" => None,
        text => {
            let parsed = text.parse();
            Some(parsed.map_err(|error: VersionError| ApiError::field("version", error.to_string()))?)
        }
    };
    let (canary, version) = match (&request.canary, version) {
        (None, stable) => return Ok(Choice::Stable(stable)),
        (Some(_), None) => return Ok(Choice::Canary(None)),
        (Some(canary), Some(version)) => (canary, version),
    };
    let wanted::Canary { percent, devices } = canary;
    let percent = u8::try_from(*percent).ok().filter(|percent| *percent <= 100);
    let percent = percent.ok_or_else(|| ApiError::field("canary.percent", "must be 0 to 100"))?;
    if devices.len() > NAMED {
        return Err(ApiError::field("canary.devices", format!("must be at most {NAMED}")));
    }
    if percent == 0 && devices.is_empty() {
        return Err(ApiError::field("canary", "must have a percentage or a device"));
    }
    let named = devices.iter().enumerate();
    let named = named.map(|(index, name)| device(&format!("canary.devices[{index}]"), name));
    Ok(Choice::Canary(Some(Canary { version, percent, devices: named.collect::<Result<BTreeSet<_>, _>>()? })))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(version: &str, canary: Option<(u32, &[&str])>) -> api::SetProtocolVersionRequest {
        let canary = canary.map(|(percent, devices)| wanted::Canary {
            percent,
            devices: devices.iter().map(|name| (*name).to_owned()).collect(),
        });
        api::SetProtocolVersionRequest { version: version.to_owned(), canary }
    }

    #[test]
    fn a_choice_is_for_all_or_for_some_and_both_can_be_taken_back() {
        let version = ProtocolVersion([2, 3000, 9]);
        assert_eq!(choice(&asked("2.3000.9", None)).expect("good"), Choice::Stable(Some(version)));
        assert_eq!(choice(&asked("", None)).expect("good"), Choice::Stable(None));
        assert_eq!(choice(&asked("", Some((0, &[])))).expect("good"), Choice::Canary(None));
        let some = choice(&asked("2.3000.9", Some((5, &["tenants/acme/devices/shop"]))));
        let devices = BTreeSet::from(["tenants/acme/devices/shop".parse().expect("an id")]);
        assert_eq!(some.expect("good"), Choice::Canary(Some(Canary { version, percent: 5, devices })));
    }

    #[test]
    fn a_bad_choice_names_its_field() {
        let many = ["tenants/acme/devices/shop"; NAMED + 1];
        for (request, field) in [
            (asked("2.3000", None), "version"),
            (asked("2.3000.9", Some((101, &[]))), "canary.percent"),
            (asked("2.3000.9", Some((0, &[]))), "canary"),
            (asked("2.3000.9", Some((0, &["acme/shop"]))), "canary.devices[0]"),
            (asked("2.3000.9", Some((0, &many))), "canary.devices"),
        ] {
            match choice(&request) {
                Err(ApiError::InvalidField { field: named, .. }) => assert_eq!(named, field),
                other => panic!("{field}: {other:?}"),
            }
        }
    }
}
