//! `AuditCluster`: the owners in the database beside what each node says that it runs (I2).
//!
//! What must hold: what is under way at one look (an opening, a hand-off) is not a finding; only what two
//! looks a moment apart agree on is. A node that does not answer is named, never guessed about.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::join_all;
use roost_placement::ledger::{MemberState, View};
use roost_placement::wish::Surveyed;
use roost_proto::api;
use roost_proto::api::audit_cluster_response::{Finding, Kind};
use roost_proto::id::{DeviceKey, Epoch, Life, NodeId};
use roost_proto::peer::report_response::Running;

use super::{Api, convert};
use crate::errors::ApiError;

/// Between the two looks.
const BETWEEN: Duration = Duration::from_millis(1500);

/// What one node runs; `None` when it does not answer.
type Reports = BTreeMap<Life, Option<BTreeMap<DeviceKey, Epoch>>>;

/// What is wrong with a device, and where.
type Difference = (DeviceKey, Kind, Option<NodeId>);

impl Api {
    pub(super) async fn audit(&self) -> Result<api::AuditClusterResponse, ApiError> {
        let first = differences(&self.reports().await, &self.view(), &self.survey().await?);
        tokio::time::sleep(BETWEEN).await;
        let (reports, view, rows) = (self.reports().await, self.view(), self.survey().await?);
        let second = differences(&reports, &view, &rows);
        let rows: BTreeMap<&DeviceKey, &Surveyed> = rows.iter().map(|line| (&line.row.key, line)).collect();
        let finding = |(key, kind, node): &Difference| {
            let runs = reports.iter().find(|(life, _)| Some(&life.node) == node.as_ref());
            let epoch = runs.and_then(|(_, runs)| runs.as_ref()?.get(key));
            Finding {
                device: key.to_string(),
                kind: (*kind).into(),
                ownership: rows.get(key).map(|line| convert::ownership(&line.row)),
                running_on: node.as_ref().map(NodeId::to_string).unwrap_or_default(),
                running_epoch: epoch.map_or(0, |epoch| epoch.0),
            }
        };
        let has_living_owner =
            |line: &Surveyed| line.row.owner.as_ref().is_some_and(|life| reports.contains_key(life));
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let silent = reports.iter().filter(|(_, runs)| runs.is_none());
        Ok(api::AuditClusterResponse {
            findings: first.intersection(&second).map(finding).collect(),
            owned: count(rows.values().filter(|line| has_living_owner(line)).count()),
            running: count(reports.values().flatten().map(BTreeMap::len).sum()),
            silent: silent.map(|(life, _)| life.node.to_string()).collect(),
        })
    }

    fn view(&self) -> View {
        self.parts().cluster.views().borrow().view.clone()
    }

    async fn reports(&self) -> Reports {
        let view = self.view();
        let asked = view.members.iter().map(|member| async {
            let said = self.ask_report(&member.life, None).await.ok();
            let runs = said.filter(|said| said.incarnation == member.life.incarnation.0).map(|said| {
                let one = |line: Running| Some((line.device.parse().ok()?, Epoch(line.epoch)));
                said.running.into_iter().filter_map(one).collect()
            });
            (member.life.clone(), runs)
        });
        join_all(asked).await.into_iter().collect()
    }
}

/// Everything in which rows and reports differ at one look.
fn differences(reports: &Reports, view: &View, rows: &[Surveyed]) -> BTreeSet<Difference> {
    let mut found = BTreeSet::new();
    let mut owners: BTreeMap<&DeviceKey, (&Life, Epoch)> = BTreeMap::new();
    for line in rows {
        let row = &line.row;
        let owner = row.owner.as_ref();
        if let Some(life) = owner {
            owners.insert(&row.key, (life, row.epoch));
        }
        match owner.and_then(|life| reports.get(life)) {
            Some(Some(runs)) if runs.get(&row.key) != Some(&row.epoch) => {
                found.insert((row.key.clone(), Kind::NotRunning, None));
            }
            Some(_) => {}
            None => {
                let takes = |node: &NodeId| {
                    let mut members = view.members.iter();
                    members.any(|m| m.life.node == *node && m.state == MemberState::Active && !m.cordoned)
                };
                let waits = row.wish.required().is_some_and(|node| !takes(node));
                let kind = if waits { Kind::PinnedUnplaceable } else { Kind::Unowned };
                found.insert((row.key.clone(), kind, None));
            }
        }
    }
    for (life, runs) in reports {
        for (key, epoch) in runs.iter().flatten() {
            if owners.get(key) != Some(&(life, *epoch)) {
                found.insert((key.clone(), Kind::NotOwned, Some(life.node.clone())));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use roost_placement::ledger::{Desired, Ownership};
    use roost_placement::wish::{Pin, PinMode, Wish};
    use roost_proto::id::Incarnation;

    use super::*;

    fn life(node: &str) -> Life {
        Life { node: node.parse().expect("a label"), incarnation: Incarnation(1) }
    }

    fn key(n: u32) -> DeviceKey {
        format!("tenants/acme/devices/d{n}").parse().expect("a name")
    }

    fn row(n: u32, owner: Option<&str>) -> Surveyed {
        let (desired, wish) = (Desired::Online, Wish::default());
        Ownership { key: key(n), owner: owner.map(life), epoch: Epoch(5), desired, wish }.into()
    }

    #[test]
    fn a_device_that_runs_where_it_is_owned_is_no_finding_and_every_other_way_is() {
        let runs = |devices: &[(u32, i64)]| {
            Some(devices.iter().map(|(n, epoch)| (key(*n), Epoch(*epoch))).collect::<BTreeMap<_, _>>())
        };
        let reports: Reports = [
            (life("n1"), runs(&[(1, 5), (2, 5), (3, 4)])),
            (life("n2"), runs(&[(2, 4), (6, 9)])),
            (life("n3"), None),
        ]
        .into();
        let mut waits = row(7, None);
        waits.row.wish.pin = Some(Pin { node: life("n9").node, mode: PinMode::Require });
        let rows = [
            row(1, Some("n1")),
            row(2, Some("n1")),
            row(3, Some("n1")),
            row(4, Some("n2")),
            row(5, Some("n3")),
            waits,
            row(8, None),
            row(9, Some("n9")),
        ];
        let found = differences(&reports, &View::default(), &rows);
        let on = |node: &str| Some(life(node).node);
        let expected: BTreeSet<Difference> = [
            (key(2), Kind::NotOwned, on("n2")),
            (key(3), Kind::NotRunning, None),
            (key(3), Kind::NotOwned, on("n1")),
            (key(4), Kind::NotRunning, None),
            (key(6), Kind::NotOwned, on("n2")),
            (key(7), Kind::PinnedUnplaceable, None),
            (key(8), Kind::Unowned, None),
            (key(9), Kind::Unowned, None),
        ]
        .into();
        assert_eq!(found, expected, "the third node is silent: nothing is said of the fifth device");
    }
}
