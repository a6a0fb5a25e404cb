//! What people look at, as text: the service decides, and this writes.

mod packing;
pub(crate) mod picture;
pub(crate) mod plan;
