//! isolated (I15): no call, event or row crosses a tenant.
//!
//! Accuses by Asked, Accepted, Offered and Acknowledged, as callers and consumers of a tenant see them.

use std::collections::BTreeMap;

use roost_proto::id::BusinessId;

use super::{Check, hold};
use crate::history::{Fact, What};

/// The checker.
#[derive(Debug, Default)]
pub(super) struct Isolated {
    /// Who asked for what.
    requests: BTreeMap<String, BusinessId>,
}

impl Check for Isolated {
    fn name(&self) -> &'static str {
        "isolated"
    }

    fn see(&mut self, fact: &Fact) -> Result<(), String> {
        let (tenant, key) = match &fact.what {
            What::Asked { tenant, key, request, .. } => {
                self.requests.insert(request.clone(), tenant.clone());
                (tenant, key)
            }
            What::Accepted { tenant, key, request, .. } => {
                let asked = self.requests.get(request);
                hold(asked.is_none_or(|asked| asked == tenant), || {
                    format!("{tenant} got the answer to {request} of another tenant")
                })?;
                (tenant, key)
            }
            What::Offered { tenant, key, .. } | What::Acknowledged { tenant, key, .. } => (tenant, key),
            _ => return Ok(()),
        };
        hold(key.business_id == *tenant, || format!("{tenant} and {key} met"))
    }
}

#[cfg(test)]
mod tests {
    use roost_proto::id::Sequence;

    use super::super::scene::{judge, key};
    use super::*;

    fn offered(tenant: &str) -> What {
        let (tenant, consumer) = (tenant.parse().expect("an id"), "ledger".parse().expect("an id"));
        What::Offered { tenant, consumer, key: key(), sequence: Sequence(1) }
    }

    fn asked(tenant: &str) -> What {
        let (tenant, request) = (tenant.parse().expect("an id"), "r1".to_owned());
        What::Asked { tenant, key: key(), request, content: 0 }
    }

    #[test]
    fn an_event_or_a_call_of_another_tenant_is_seen() {
        assert!(judge(Isolated::default(), [offered("t2")]).is_some());
        assert!(judge(Isolated::default(), [asked("t2")]).is_some());
    }

    #[test]
    fn an_answer_to_another_tenant_is_seen() {
        let key: roost_proto::id::DeviceKey = "tenants/t2/devices/d1".parse().expect("a key");
        let (request, message) = ("r1".to_owned(), "3EB0".to_owned());
        let answer = What::Accepted { tenant: key.business_id.clone(), key, request, message };
        assert!(judge(Isolated::default(), [asked("t1"), answer]).is_some());
    }

    #[test]
    fn a_tenants_own_are_fine() {
        assert_eq!(judge(Isolated::default(), [asked("t1"), offered("t1")]), None);
    }
}
