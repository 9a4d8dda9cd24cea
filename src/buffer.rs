//! Bytes on their way, in pooled storage.
//!
//! A [`Buffer`] without bytes in it owns no storage: it takes some from the [`BufferPool`] when
//! bytes come and gives it back when the last one has left, so that a waiting session costs nothing.

use std::ops::Range;

/// A queue of bytes in one contiguous piece of storage.
#[derive(Debug, Default)]
pub struct Buffer {
    storage: Box<[u8]>,
    /// Where the bytes held begin and end: half as wide as `usize`, for who waits holds many buffers.
    start: u32,
    end: u32,
}

impl Buffer {
    /// The bytes held.
    pub fn bytes(&self) -> &[u8] {
        &self.storage[self.place()]
    }

    /// The bytes held, to be changed in place.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        let place = self.place();
        &mut self.storage[place]
    }

    /// How many bytes are held.
    pub fn len(&self) -> usize {
        self.place().len()
    }

    /// Whether no byte is held.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Where bytes can be added, after [`BufferPool::make_room`].
    pub fn room(&mut self) -> &mut [u8] {
        &mut self.storage[self.end as usize..]
    }

    /// How many bytes can be added without making room.
    pub fn free(&self) -> usize {
        self.storage.len() - self.end as usize
    }

    /// The size of the storage now owned.
    pub fn capacity(&self) -> usize {
        self.storage.len()
    }

    /// Says that the first `count` bytes of the room hold bytes now.
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

    /// Drops the bytes from `from` up to `to`, counted from the first one held.
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

/// Storage for buffers: a few sizes, kept for the next one, and a count of what is out.
#[derive(Debug, Default)]
pub struct BufferPool {
    spare: [Vec<Box<[u8]>>; SIZES.len()],
    held: usize,
    held_bytes: usize,
    /// More bytes than this should not be out.
    limit: usize,
}

impl BufferPool {
    /// Sees to it that `buffer` can take at least one more byte, and has storage for `capacity`
    /// bytes in all if it can be had by moving.
    pub fn make_room(&mut self, buffer: &mut Buffer, capacity: usize) {
        if buffer.capacity() >= capacity.max(buffer.len() + 1) {
            if buffer.free() == 0 || buffer.len() * 4 < buffer.start as usize {
                buffer.compact();
            }
            return;
        }
        let mut storage = self.take(capacity.max(buffer.len() + 1));
        let held = buffer.len();
        storage[..held].copy_from_slice(buffer.bytes());
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

    /// Takes the storage back from a buffer without bytes; nothing where there are some.
    pub fn settle(&mut self, buffer: &mut Buffer) {
        if buffer.is_empty() {
            self.clear(buffer);
        }
    }

    /// Takes the storage back, whatever is in it.
    pub fn clear(&mut self, buffer: &mut Buffer) {
        // Most have none: worth finding out without a call.
        if buffer.capacity() > 0 {
            let old = std::mem::take(buffer);
            self.give(old.storage);
        }
    }

    /// Gives up the storage that is kept for the next buffer.
    pub fn give_back(&mut self) {
        self.spare = Default::default();
    }

    /// Sets how many bytes of storage may be out before [`BufferPool::is_exhausted`] says so.
    pub fn set_limit(&mut self, bytes: usize) {
        self.limit = bytes;
    }

    /// Whether so much storage is out that what can be refused has to be: storage that makes those
    /// who hold some finish is given all the same.
    pub fn is_exhausted(&self) -> bool {
        self.held_bytes > self.limit
    }

    /// Whether so much more is out that nothing is given that can be refused.
    pub fn is_overdrawn(&self) -> bool {
        self.held_bytes - self.held_bytes / 4 > self.limit
    }

    /// Buffers that have storage now.
    pub fn held(&self) -> usize {
        self.held
    }

    /// Bytes of storage that buffers have now.
    pub fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    fn take(&mut self, at_least: usize) -> Box<[u8]> {
        assert!(at_least <= LARGEST, "what a buffer may hold is limited below");
        self.held += 1;
        let class = SIZES.iter().position(|&size| size >= at_least);
        let storage = match class {
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
        let class = SIZES.iter().position(|&size| size == storage.len());
        let enough = |class: usize| SPARE.min(SPARE_BYTES / SIZES[class]);
        if let Some(class) = class.filter(|&class| self.spare[class].len() < enough(class)) {
            self.spare[class].push(storage);
        }
    }
}

fn zeroed(size: usize) -> Box<[u8]> {
    vec![0; size].into_boxed_slice()
}

/// Sizes that are kept for reuse; larger storage (large heads) goes back to the allocator. The small
/// ones are for heads, which are kept while their requests wait.
const SIZES: [usize; 8] = [128, 256, 512, 1 << 10, 2 << 10, 4 << 10, 16 << 10, 64 << 10];
/// Places in storage fit into 32 bits.
const LARGEST: usize = u32::MAX as usize;
/// How much unused storage of each size is kept: as much as comes and goes in one turn of a busy
/// worker. More, scattered among what a crowd had, would keep all of that from the system.
const SPARE: usize = 64;
const SPARE_BYTES: usize = 512 << 10;

#[cfg(test)]
mod tests {
    use super::*;

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
