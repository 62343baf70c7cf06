//! isolated (I15): no call, event or row crosses a tenant, and nothing goes where it must not be.
//!
//! Accuses by Asked, Accepted, Offered and Acknowledged, as callers and consumers of a tenant see them; and by
//! Granted, when the device requires another node, as Required says. A device may stay where it was before it
//! required one, and after a lost tail whoever runs it keeps it.

use std::collections::BTreeMap;

use roost_proto::id::{BusinessId, DeviceKey, Life, NodeId};

use super::{Check, hold};
use crate::history::{Fact, How, What};

/// The checker.
#[derive(Debug, Clone, Default)]
pub(super) struct Isolated {
    /// Who asked for what.
    requests: BTreeMap<String, BusinessId>,
    /// Nodes that devices require.
    required: BTreeMap<DeviceKey, NodeId>,
}

impl Isolated {
    fn granted(&self, key: &DeviceKey, owner: &Life) -> Result<(), String> {
        let required = self.required.get(key).filter(|node| **node != owner.node);
        hold(required.is_none(), || {
            format!("{owner} got {key}, which requires {}", required.expect("it is another"))
        })
    }
}

impl Check for Isolated {
    fn name(&self) -> &'static str {
        "isolated"
    }

    fn see(&mut self, fact: &Fact) -> Result<(), String> {
        let (tenant, key) = match &fact.what {
            What::Required { key, node: Some(node) } => {
                self.required.insert(key.clone(), node.clone());
                return Ok(());
            }
            What::Required { key, node: None } => {
                self.required.remove(key);
                return Ok(());
            }
            What::Granted { key, owner: Some(owner), how, .. } if *how != How::Attach => {
                return self.granted(key, owner);
            }
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

    use super::super::scene::{grant, granted, judge, key, life};
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
    fn a_device_that_goes_to_another_node_than_it_requires_is_seen() {
        let require =
            |node: Option<u32>| What::Required { key: key(), node: node.map(|node| life(node, 1).node) };
        let granted = |node| granted(&grant(node, 2), How::Claim);
        assert!(judge(Isolated::default(), [require(Some(1)), granted(2)]).is_some());
        assert_eq!(judge(Isolated::default(), [require(Some(1)), granted(1)]), None);
        assert_eq!(judge(Isolated::default(), [require(Some(1)), require(None), granted(2)]), None);
    }

    #[test]
    fn a_tenants_own_are_fine() {
        assert_eq!(judge(Isolated::default(), [asked("t1"), offered("t1")]), None);
    }
}
