//! What the fuzz targets share: second opinions, and ways to hand over bytes piece by piece.

pub mod feed;
pub mod oracle;
