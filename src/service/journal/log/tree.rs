//! The log's tree as a store holds it: reading of tiles, the right edge, and proofs. Must not know
//! what an entry says.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::domain::tree::frontier::Frontier;
use crate::domain::tree::hash::NodeHash;
use crate::domain::tree::node::NodeId;
use crate::domain::tree::tile::{HashTile, Tile, TileLevel};
use crate::service::error::Error;
use crate::store::Records;

use super::broken;

/// The right edge of the stored tree of `size` entries.
pub(super) async fn read_frontier(records: &dyn Records, size: u64) -> Result<Frontier, Error> {
    let nodes = Frontier::nodes(size);
    let hashes = read_nodes(records, nodes.iter().copied(), size).await?;
    let ordered = nodes.iter().filter_map(|node| hashes.get(node).copied());
    Frontier::from_hashes(size, ordered.collect()).map_err(broken)
}

/// The hashes of these nodes of the tree of `size` entries. Each tile is read once.
pub(super) async fn read_nodes(
    records: &dyn Records,
    nodes: impl Iterator<Item = NodeId>,
    size: u64,
) -> Result<HashMap<NodeId, NodeHash>, Error> {
    let (mut tiles, mut hashes) = (HashMap::<Tile, HashTile>::new(), HashMap::new());
    for node in nodes {
        let tile = Tile::holding(node, size)
            .ok_or_else(|| broken("a node of the log is not complete at this size"))?;
        let read = match tiles.entry(tile) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => place.insert(read_tile(records, tile).await?),
        };
        let hash = read.node(node);
        hashes.insert(node, hash.ok_or_else(|| broken("a tile lacks its node"))?);
    }
    Ok(hashes)
}

async fn read_tile(records: &dyn Records, tile: Tile) -> Result<HashTile, Error> {
    let TileLevel::Hashes(level) = tile.level() else {
        return Err(broken("a bundle of entries has no hashes"));
    };
    let hashes = records
        .log_hashes(level, tile.first(), tile.width())
        .await?;
    HashTile::new(tile, hashes).map_err(|rule| broken(format!("{tile} of the log: {rule}")))
}
