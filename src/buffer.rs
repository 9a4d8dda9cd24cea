//! Bytes in transit, in pooled storage.
//!
//! An empty [`Buffer`] owns no storage: it takes some from the [`BufferPool`] when bytes arrive and
//! returns it after the last one leaves, so that a waiting session costs nothing.

use std::ops::Range;

/// A queue of bytes in one contiguous piece of storage.
#[derive(Debug, Default)]
pub struct Buffer {
    storage: Box<[u8]>,
    /// Range of the bytes held. `u32`: a waiting session holds many buffers, so their size counts.
    start: u32,
    end: u32,
}

impl Buffer {
    /// The bytes held.
    pub fn bytes(&self) -> &[u8] {
        &self.storage[self.place()]
    }

    /// The bytes held, for changes in place.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        let place = self.place();
        &mut self.storage[place]
    }

    /// Number of bytes held.
    pub fn len(&self) -> usize {
        self.place().len()
    }

    /// Whether no bytes are held.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Space for more bytes, after [`BufferPool::make_room`].
    pub fn room(&mut self) -> &mut [u8] {
        &mut self.storage[self.end as usize..]
    }

    /// Number of bytes that can be added without making room.
    pub fn free(&self) -> usize {
        self.storage.len() - self.end as usize
    }

    /// The size of the storage owned now, in bytes.
    pub fn capacity(&self) -> usize {
        self.storage.len()
    }

    /// Marks the first `count` bytes of the room as held.
    pub fn filled(&mut self, count: usize) {
        assert!(count <= self.free(), "filled beyond the storage");
        self.end += count as u32;
    }

    /// Drops the first `count` bytes.
    pub fn consume(&mut self, count: usize) {
        assert!(count <= self.len(), "consumed more than is held");
        self.start += count as u32;
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        }
    }

    /// Drops all but the first `count` bytes.
    pub fn truncate(&mut self, count: usize) {
        self.end = self.start + count.min(self.len()) as u32;
    }

    /// Drops the bytes from `from` to `to`, counted from the first one held.
    pub fn cut(&mut self, from: usize, to: usize) {
        assert!(from <= to && to <= self.len(), "cut outside of what is held");
        if from < to {
            self.bytes_mut().copy_within(to.., from);
            self.end -= (to - from) as u32;
        }
    }

    fn compact(&mut self) {
        self.storage.copy_within(self.place(), 0);
        self.end -= self.start;
        self.start = 0;
    }

    fn place(&self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// Storage for buffers: spare pieces of a few sizes, and a count of what is in use.
#[derive(Debug, Default)]
pub struct BufferPool {
    spare: [Vec<Box<[u8]>>; SIZES.len()],
    held: usize,
    held_bytes: usize,
    /// Bytes that may be in use before the pool counts as exhausted.
    limit: usize,
}

impl BufferPool {
    /// Makes room for at least one more byte in `buffer`, in storage of at least `capacity` bytes.
    pub fn make_room(&mut self, buffer: &mut Buffer, capacity: usize) {
        if buffer.capacity() >= capacity.max(buffer.len() + 1) {
            if buffer.free() == 0 || buffer.len() * 4 < buffer.start as usize {
                buffer.compact();
            }
            return;
        }
        let mut storage = self.take(capacity.max(buffer.len() + 1));
        let held = buffer.len();
        if held > 0 {
            storage[..held].copy_from_slice(buffer.bytes());
        }
        let old = std::mem::replace(buffer, Buffer { storage, start: 0, end: held as u32 });
        self.give(old.storage);
    }

    /// Adds bytes at the end.
    pub fn append(&mut self, buffer: &mut Buffer, bytes: &[u8]) {
        if buffer.free() < bytes.len() {
            self.make_room(buffer, buffer.len() + bytes.len());
            if buffer.free() < bytes.len() {
                buffer.compact();
            }
        }
        buffer.room()[..bytes.len()].copy_from_slice(bytes);
        buffer.filled(bytes.len());
    }

    /// Takes the storage back if the buffer is empty.
    pub fn settle(&mut self, buffer: &mut Buffer) {
        if buffer.is_empty() {
            self.clear(buffer);
        }
    }

    /// Takes the storage back, and drops the bytes in it.
    pub fn clear(&mut self, buffer: &mut Buffer) {
        // Most buffers have none, and this check avoids a call.
        if buffer.capacity() > 0 {
            let old = std::mem::take(buffer);
            self.give(old.storage);
        }
    }

    /// Frees the spare storage.
    pub fn give_back(&mut self) {
        self.spare = Default::default();
    }

    /// Sets how many bytes of storage may be in use before [`BufferPool::is_exhausted`].
    pub fn set_limit(&mut self, bytes: usize) {
        self.limit = bytes;
    }

    /// Whether the limit is exceeded, so that requests for storage are refused where possible.
    /// Storage that lets its owners finish is still given.
    pub fn is_exhausted(&self) -> bool {
        self.held_bytes > self.limit
    }

    /// Whether the limit is exceeded by a third, so that every refusable request is refused.
    pub fn is_overdrawn(&self) -> bool {
        self.held_bytes - self.held_bytes / 4 > self.limit
    }

    /// Number of buffers that own storage.
    pub fn held(&self) -> usize {
        self.held
    }

    /// Bytes of storage that buffers own.
    pub fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    fn take(&mut self, at_least: usize) -> Box<[u8]> {
        assert!(at_least <= LARGEST, "callers limit the size of a buffer");
        self.held += 1;
        let storage = match class_of(at_least) {
            Some(class) => self.spare[class].pop().unwrap_or_else(|| zeroed(SIZES[class])),
            None => zeroed(at_least.next_power_of_two().min(LARGEST)),
        };
        self.held_bytes += storage.len();
        storage
    }

    fn give(&mut self, storage: Box<[u8]>) {
        if storage.is_empty() {
            return;
        }
        self.held -= 1;
        self.held_bytes -= storage.len();
        let class = class_of(storage.len()).filter(|&class| SIZES[class] == storage.len());
        let enough = |class: usize| SPARE.min(SPARE_BYTES / SIZES[class]);
        if let Some(class) = class.filter(|&class| self.spare[class].len() < enough(class)) {
            self.spare[class].push(storage);
        }
    }
}

/// The place among [`SIZES`] of the smallest that is large enough.
fn class_of(at_least: usize) -> Option<usize> {
    // Each size is a power of two.
    match at_least.max(SIZES[0]).next_power_of_two().trailing_zeros() {
        power @ 7..=12 => Some(power as usize - 7),
        13 | 14 => Some(6),
        15 | 16 => Some(7),
        _ => None,
    }
}

fn zeroed(size: usize) -> Box<[u8]> {
    vec![0; size].into_boxed_slice()
}

/// Sizes kept for reuse, in bytes; larger storage (large heads) is freed. The small sizes are for
/// heads, which are kept while their requests wait.
const SIZES: [usize; 8] = [128, 256, 512, 1 << 10, 2 << 10, 4 << 10, 16 << 10, 64 << 10];
/// Positions in storage fit into 32 bits.
const LARGEST: usize = u32::MAX as usize;
/// Pieces of unused storage kept per size: as many as one turn of a busy worker uses. More,
/// scattered among the storage of many past sessions, would keep all of that from the system.
const SPARE: usize = 64;
const SPARE_BYTES: usize = 512 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn storage_is_of_the_smallest_size_that_is_large_enough() {
        for at_least in 0..=SIZES[SIZES.len() - 1] + 1 {
            let class = SIZES.iter().position(|&size| size >= at_least);
            assert_eq!(class_of(at_least), class, "{at_least}");
        }
    }

    #[test]
    fn an_empty_buffer_owns_nothing() {
        let mut pool = BufferPool::default();
        let mut buffer = Buffer::default();
        pool.append(&mut buffer, b"abc");
        assert_eq!((pool.held(), pool.held_bytes()), (1, 128));
        buffer.consume(3);
        pool.settle(&mut buffer);
        assert_eq!((pool.held(), pool.held_bytes(), buffer.capacity()), (0, 0, 0));
    }

    #[test]
    fn bytes_survive_growing_and_compacting() {
        let mut pool = BufferPool::default();
        let mut buffer = Buffer::default();
        let mut expected = Vec::new();
        for round in 0..200u8 {
            let piece = vec![round; usize::from(round) * 7];
            pool.append(&mut buffer, &piece);
            expected.extend_from_slice(&piece);
            let eaten = expected.len() / 3;
            buffer.consume(eaten);
            expected.drain(..eaten);
            assert_eq!(buffer.bytes(), expected);
        }
    }

    #[test]
    fn a_cut_closes_the_gap() {
        let mut pool = BufferPool::default();
        let mut buffer = Buffer::default();
        pool.append(&mut buffer, b"0123456789");
        buffer.consume(1);
        buffer.cut(2, 5);
        assert_eq!(buffer.bytes(), b"126789");
    }

    #[test]
    fn large_storage_is_not_kept() {
        let mut pool = BufferPool::default();
        let mut buffer = Buffer::default();
        pool.make_room(&mut buffer, 2 << 20);
        assert_eq!(pool.held_bytes(), 2 << 20);
        pool.clear(&mut buffer);
        assert_eq!(pool.held_bytes(), 0);
        assert!(pool.spare.iter().all(Vec::is_empty));
    }
}
