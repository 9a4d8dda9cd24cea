//! Storage that one exchange passes to the next, so that no request allocates unless more are open
//! at a time than ever before.

use std::ops::{Deref, DerefMut};

/// Boxes that outlive their contents.
#[derive(Debug)]
pub struct Boxes<T> {
    empty: Vec<Box<Option<T>>>,
}

/// A box with contents.
#[derive(Debug)]
pub struct Boxed<T>(Box<Option<T>>);

impl<T> Boxes<T> {
    /// Puts `content` into a kept or a new box.
    pub fn put(&mut self, content: T) -> Boxed<T> {
        let mut place = self.empty.pop().unwrap_or_default();
        *place = Some(content);
        Boxed(place)
    }

    /// Takes out what is in a box, and keeps the box unless there are enough.
    pub fn take(&mut self, boxed: Boxed<T>) -> T {
        let Boxed(mut place) = boxed;
        let content = place.take().expect("only a box that is gone is empty");
        self.keep(place);
        content
    }

    /// Drops the contents of a box, and keeps the box unless there are enough.
    pub fn clear(&mut self, boxed: Boxed<T>) {
        let Boxed(mut place) = boxed;
        *place = None;
        self.keep(place);
    }

    fn keep(&mut self, empty: Box<Option<T>>) {
        if self.empty.len() < SPARE {
            self.empty.push(empty);
        }
    }
}

impl<T> Default for Boxes<T> {
    fn default() -> Boxes<T> {
        Boxes { empty: Vec::new() }
    }
}

impl<T> Deref for Boxed<T> {
    type Target = T;

    fn deref(&self) -> &T {
        Option::as_ref(&self.0).expect("only a box that is gone is empty")
    }
}

impl<T> DerefMut for Boxed<T> {
    fn deref_mut(&mut self) -> &mut T {
        Option::as_mut(&mut self.0).expect("only a box that is gone is empty")
    }
}

/// Empty vectors with storage.
#[derive(Debug)]
pub struct Vectors<T> {
    empty: Vec<Vec<T>>,
}

impl<T> Vectors<T> {
    /// An empty vector, with kept storage if there is any.
    pub fn take(&mut self) -> Vec<T> {
        self.empty.pop().unwrap_or_default()
    }

    /// Keeps a vector's storage, unless there is enough or it is large.
    pub fn give(&mut self, mut vector: Vec<T>) {
        if self.empty.len() < SPARE && vector.capacity() <= LARGE {
            vector.clear();
            self.empty.push(vector);
        }
    }
}

impl<T> Default for Vectors<T> {
    fn default() -> Vectors<T> {
        Vectors { empty: Vec::new() }
    }
}

/// How many are kept: as many as one turn of a busy worker uses.
const SPARE: usize = 64;
/// The largest capacity of a kept vector, in elements.
const LARGE: usize = 64;
