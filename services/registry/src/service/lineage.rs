//! Following an output to what it was made from, and to what was made from it.

use super::Registry;
use super::outputs::not_found;
use crate::store::outputs::{self, parent_id};
use remit_api::registry::v1::{
    GetLineageRequest, GetLineageResponse, LineageDirection, LineageEdge, LineageNode, Output,
};
use remit_core::{Result, Tenant, name};
use remit_runtime::Cx;
use remit_store::Tx;
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
    /// Adds outputs at `depth`; returns the ids of those that are new. The bound on nodes holds here.
    fn add(&mut self, found: BTreeMap<String, Output>, depth: i32) -> Vec<String> {
        let mut new = Vec::new();
        for (id, output) in found {
            if self.nodes.contains_key(&id) {
                continue;
            }
            if self.nodes.len() >= MOST_NODES {
                self.truncated = true;
                break;
            }
            self.nodes.insert(id.clone(), (depth, output));
            new.push(id);
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
                    let parent = parent_id(&parent).to_owned();
                    self.edges.insert((parent.clone(), child.clone()));
                    wanted.insert(parent);
                }
            }
            wanted.retain(|id| !self.nodes.contains_key(id));
            if wanted.is_empty() {
                return Ok(());
            }
            if depth > self.depth {
                self.truncated = true;
                return Ok(());
            }
            let ids: Vec<&str> = wanted.iter().map(String::as_str).collect();
            let found = outputs::find_all(tx, self.tenant, &ids).await?;
            self.unknown.extend(wanted.iter().filter(|id| !found.contains_key(*id)).cloned());
            front = self.add(found, -depth);
        }
        Ok(())
    }

    async fn descendants(&mut self, tx: &mut Tx, from: &str) -> Result<()> {
        let mut front = vec![from.to_owned()];
        let limit = i64::try_from(MOST_NODES + 1).unwrap_or(i64::MAX);
        for depth in 1..=self.depth + 1 {
            let ids: Vec<&str> = front.iter().map(String::as_str).collect();
            let pairs = outputs::children(tx, self.tenant, &ids, limit).await?;
            let wanted: BTreeSet<&str> =
                pairs.iter().map(|(_, child)| child.as_str()).filter(|id| !self.nodes.contains_key(*id)).collect();
            if depth > self.depth {
                self.truncated |= !wanted.is_empty();
                return Ok(());
            }
            let ids: Vec<&str> = wanted.into_iter().collect();
            let found = outputs::find_all(tx, self.tenant, &ids).await?;
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
        let name = |id: &String| format!("outputs/{id}");
        let there = |id: &String| self.nodes.contains_key(id) || self.unknown.contains(id);
        let edges = self.edges.iter().filter(|(parent, child)| there(parent) && there(child));
        let edges = edges.map(|(parent, child)| LineageEdge { parent: name(parent), child: name(child) }).collect();
        let unknown_parents = self.unknown.iter().map(name).collect();
        let mut nodes: Vec<LineageNode> =
            self.nodes.into_values().map(|(depth, output)| LineageNode { output: Some(output), depth }).collect();
        nodes.sort_by_key(|node| node.depth);
        GetLineageResponse { nodes, edges, unknown_parents, truncated: self.truncated }
    }
}

impl Registry {
    /// Follows the chain around an output.
    pub async fn get_lineage(&self, cx: &Cx, req: GetLineageRequest) -> Result<GetLineageResponse> {
        let [id] = name::ids::<1>(&req.name, "outputs/*", "name")?;
        let mut tx = self.db.snapshot().await?;
        let start = outputs::find(&mut tx, &cx.tenant, id).await?.ok_or_else(|| not_found(&req.name))?;
        let mut walk = Walk {
            tenant: &cx.tenant,
            depth: if req.max_depth == 0 { DEFAULT_DEPTH } else { req.max_depth },
            nodes: BTreeMap::from([(id.to_owned(), (0, start))]),
            edges: BTreeSet::new(),
            unknown: BTreeSet::new(),
            truncated: false,
        };
        if req.direction() != LineageDirection::Descendants {
            walk.ancestors(&mut tx, id).await?;
        }
        if req.direction() != LineageDirection::Ancestors {
            walk.descendants(&mut tx, id).await?;
        }
        Ok(walk.finish())
    }
}
