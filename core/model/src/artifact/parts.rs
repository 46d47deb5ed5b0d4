//! Large files go to a server in parts.

use super::digest::Digest;

/// W&B's part size.
pub const PART_BYTES: u64 = 100 << 20;
/// W&B's bound of parts of one file.
pub const MOST_PARTS: u64 = 10_000;
/// Files from here on go in parts to any server.
pub const MULTIPART_FROM: u64 = 2 << 30;
/// The largest file.
pub const MOST_BYTES: u64 = 5 << 40;
/// Files from here on go in parts to a server that keeps the parts of an interrupted upload.
pub const RESUMABLE_FROM: u64 = 64 << 20;
/// Their part size: what an interruption costs at most, for each part on its way.
pub const RESUMABLE_PART_BYTES: u64 = 32 << 20;
/// Part sizes beyond the usual ones are multiples of this.
const STEP: u64 = 4_096;

/// How a file is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts {
    /// Bytes of every part but the last.
    pub part_bytes: u64,
    /// How many.
    pub count: u64,
}

/// A part: its number from 1, and where it lies in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// From 1.
    pub number: u64,
    /// First byte.
    pub offset: u64,
    /// Bytes.
    pub length: u64,
}

impl Parts {
    /// The parts of a file of `size` bytes, in order.
    pub fn of(self, size: u64) -> impl Iterator<Item = Part> {
        (0..self.count).map(move |index| {
            let offset = index * self.part_bytes;
            Part {
                number: index + 1,
                offset,
                length: self.part_bytes.min(size.saturating_sub(offset)),
            }
        })
    }
}

/// How a file of `size` bytes is cut for W&B's servers; none if it goes whole.
pub fn plan(size: u64) -> Option<Parts> {
    (size >= MULTIPART_FROM).then(|| cut(size, PART_BYTES))
}

/// How it is cut for a server that keeps the parts of an interrupted upload.
pub fn plan_resumable(size: u64) -> Option<Parts> {
    (size >= RESUMABLE_FROM).then(|| cut(size, RESUMABLE_PART_BYTES))
}

fn cut(size: u64, usual: u64) -> Parts {
    let part_bytes = if size.div_ceil(usual) > MOST_PARTS {
        size.div_ceil(MOST_PARTS).next_multiple_of(STEP)
    } else {
        usual
    };
    Parts {
        part_bytes,
        count: size.div_ceil(part_bytes),
    }
}

/// What a client says of a part before it sends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartDigest {
    /// From 1.
    pub number: u64,
    /// MD5 of its bytes.
    pub md5: Digest,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_files_go_whole() {
        assert_eq!(plan(MULTIPART_FROM - 1), None);
        assert_eq!(plan_resumable(RESUMABLE_FROM - 1), None);
    }

    #[test]
    fn parts_cover_the_file_once() {
        for size in [
            MULTIPART_FROM,
            MULTIPART_FROM + 1,
            3 << 40,
            MOST_BYTES,
            MOST_BYTES - 1,
        ] {
            for parts in [plan(size), plan_resumable(size)].into_iter().flatten() {
                assert!(parts.count <= MOST_PARTS, "{size}");
                let mut end = 0;
                for (number, part) in (1..).zip(parts.of(size)) {
                    assert_eq!((part.number, part.offset), (number, end));
                    assert!(part.length > 0);
                    end += part.length;
                }
                assert_eq!(end, size);
            }
        }
        assert_eq!(
            plan(MULTIPART_FROM).map(|parts| parts.part_bytes),
            Some(PART_BYTES)
        );
        assert_eq!(
            plan(MOST_BYTES).map(|parts| parts.part_bytes % STEP),
            Some(0)
        );
    }
}
