//! Files of media objects: images as PNG.

pub(crate) mod png;
