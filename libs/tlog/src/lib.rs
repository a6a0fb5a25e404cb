//! A transparency log: the arithmetic and the formats, without I/O.
//!
//! The tree is that of RFC 9162 section 2.1 over SHA-256. Tiles, checkpoints, cosignatures and proof
//! files are those of C2SP: `tlog-tiles`, `tlog-checkpoint`, `signed-note`, `tlog-cosignature` and
//! `tlog-proof` (<https://c2sp.org>). Who writes a log uses [`Frontier`] and [`tile`]; who proves uses
//! [`proof`]; who distrusts uses [`client::LogVerifier`] and [`witness`].
//!
//! ```
//! use remit_tlog::{Frontier, leaf_hash, proof};
//!
//! let leaves = [leaf_hash(b"one"), leaf_hash(b"two"), leaf_hash(b"three")];
//! let mut frontier = Frontier::default();
//! for leaf in leaves {
//!     frontier.push(leaf)?;
//! }
//! let path = proof::inclusion(1, 3, |node| Ok::<_, remit_tlog::Error>(leaves[node.index as usize]))?;
//! proof::check_inclusion(1, leaves[1], 3, frontier.root(), &path)?;
//! # Ok::<(), remit_tlog::Error>(())
//! ```

pub mod add_checkpoint;
pub mod checkpoint;
pub mod client;
pub mod error;
pub mod frontier;
pub mod hash;
pub mod note;
pub mod proof;
pub mod proof_file;
pub mod tile;
pub mod witness;

pub use checkpoint::Checkpoint;
pub use error::{Error, Result};
pub use frontier::Frontier;
pub use hash::{Hash, empty_root, leaf_hash, node_hash};
pub use note::{Note, Signer, VerifierKey};
pub use proof::Node;
