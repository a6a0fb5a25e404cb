//! Following an output to what it was made from, and to what was made from it.

use super::Service;
use crate::store::named;
use crate::store::outputs::{self, Outputs};
use remit_api::registry::v1::{
    GetLineageRequest, GetLineageResponse, LineageDirection, LineageEdge, LineageNode, Output,
};
use remit_core::name::OutputName;
use remit_core::{Result, Tenant};
use remit_runtime::Cx;
use remit_store::{Records as _, Tx};
use std::collections::{BTreeMap, BTreeSet};

const DEFAULT_DEPTH: i32 = 10;
const MOST_NODES: usize = 1_000;

/// A walk along the chain, breadth first.
struct Walk<'a> {
    tenant: &'a Tenant,
    depth: i32,
    nodes: BTreeMap<String, (i32, Output)>,
    edges: BTreeSet<(String, String)>,
    unknown: BTreeSet<String>,
    truncated: bool,
}

impl Walk<'_> {
    /// Adds outputs at `depth`; returns the names of those that are new. The bound on nodes holds here.
    fn add(&mut self, found: BTreeMap<String, Output>, depth: i32) -> Vec<String> {
        let mut new = Vec::new();
        for (name, output) in found {
            if self.nodes.contains_key(&name) {
                continue;
            }
            if self.nodes.len() >= MOST_NODES {
                self.truncated = true;
                break;
            }
            self.nodes.insert(name.clone(), (depth, output));
            new.push(name);
        }
        new
    }

    async fn ancestors(&mut self, tx: &mut Tx, from: &str) -> Result<()> {
        let mut front = vec![from.to_owned()];
        for depth in 1..=self.depth + 1 {
            let mut wanted = BTreeSet::new();
            for child in &front {
                let parents = self.nodes.get(child).map(|(_, output)| output.parents.clone()).unwrap_or_default();
                for parent in parents {
                    self.edges.insert((parent.clone(), child.clone()));
                    wanted.insert(parent);
                }
            }
            wanted.retain(|name| !self.nodes.contains_key(name));
            if wanted.is_empty() {
                return Ok(());
            }
            if depth > self.depth {
                self.truncated = true;
                return Ok(());
            }
            let names: Vec<&str> = wanted.iter().map(String::as_str).collect();
            let found = named::<Outputs>(tx, self.tenant, &names).await?;
            self.unknown.extend(wanted.iter().filter(|name| !found.contains_key(*name)).cloned());
            front = self.add(found, -depth);
        }
        Ok(())
    }

    async fn descendants(&mut self, tx: &mut Tx, from: &str) -> Result<()> {
        let mut front = vec![from.to_owned()];
        let limit = i64::try_from(MOST_NODES + 1).unwrap_or(i64::MAX);
        for depth in 1..=self.depth + 1 {
            let names: Vec<&str> = front.iter().map(String::as_str).collect();
            let pairs = outputs::children(tx, self.tenant, &names, limit).await?;
            let wanted: BTreeSet<&str> =
                pairs.iter().map(|(_, child)| child.as_str()).filter(|name| !self.nodes.contains_key(*name)).collect();
            if depth > self.depth {
                self.truncated |= !wanted.is_empty();
                return Ok(());
            }
            let names: Vec<&str> = wanted.into_iter().collect();
            let found = named::<Outputs>(tx, self.tenant, &names).await?;
            front = self.add(found, depth);
            self.edges.extend(pairs);
            if front.is_empty() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Edges between what is there, or from a parent that was never recorded.
    fn finish(self) -> GetLineageResponse {
        let there = |name: &String| self.nodes.contains_key(name) || self.unknown.contains(name);
        let edges = self.edges.iter().filter(|(parent, child)| there(parent) && there(child)).cloned();
        let edges = edges.map(|(parent, child)| LineageEdge { parent, child }).collect();
        let mut nodes: Vec<LineageNode> =
            self.nodes.into_values().map(|(depth, output)| LineageNode { output: Some(output), depth }).collect();
        nodes.sort_by_key(|node| node.depth);
        GetLineageResponse {
            nodes,
            edges,
            unknown_parents: self.unknown.into_iter().collect(),
            truncated: self.truncated,
        }
    }
}

impl Service {
    /// Follows the chain around an output.
    pub(crate) async fn get_lineage(&self, cx: &Cx, req: GetLineageRequest) -> Result<GetLineageResponse> {
        OutputName::parse(&req.name, "name")?;
        let mut tx = self.db.snapshot().await?;
        let start = Outputs::get(&mut tx, &cx.tenant, &req.name).await?;
        let mut walk = Walk {
            tenant: &cx.tenant,
            depth: if req.max_depth == 0 { DEFAULT_DEPTH } else { req.max_depth },
            nodes: BTreeMap::from([(req.name.clone(), (0, start))]),
            edges: BTreeSet::new(),
            unknown: BTreeSet::new(),
            truncated: false,
        };
        if req.direction() != LineageDirection::Descendants {
            walk.ancestors(&mut tx, &req.name).await?;
        }
        if req.direction() != LineageDirection::Ancestors {
            walk.descendants(&mut tx, &req.name).await?;
        }
        Ok(walk.finish())
    }
}
