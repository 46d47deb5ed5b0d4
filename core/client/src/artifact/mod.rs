//! The files of an artifact that is being made: found, copied to the staging directory, hashed.
//!
//! ```text
//! add_file, add_dir -> tree -> parallel -> held (copying: clone, else copy in the kernel, else read and write)
//!                                 '-> small files are hashed on the way, large ones by hashing's threads behind the copy
//! ```
//!
//! The digest is always that of the copy, which is what is uploaded, whatever becomes of the user's file meanwhile. No more than
//! a few pieces of a file are in memory at once.

pub(crate) mod copying;
pub(crate) mod hashing;
pub(crate) mod held;
pub(crate) mod parallel;
pub(crate) mod staging;
pub(crate) mod tree;
