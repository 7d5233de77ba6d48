//! Text and bytes of documents that are overwritten when they go, at the speed of memory.
//!
//! `zeroize` writes byte after byte, each write for itself, which takes longer than encrypting what was there: 16 MB of a document are
//! 16 million writes, in every buffer that they pass through. Here a buffer is filled as a whole, and zeroize's
//! [`optimization_barrier`] keeps the compiler from leaving that out. The guarantee is the same: when a [`Wiping`] is dropped, all of its
//! memory, the capacity behind its end included, is zero before it is given back.
//!
//! What a `Vec` or `String` leaves behind when it grows by itself is out of reach. [`Wiping::append`] grows without leaving anything.

use std::borrow::Borrow;
use std::fmt;
use std::mem::{self, MaybeUninit};
use std::ops::{Deref, DerefMut};

use zeroize::optimization_barrier;

/// Bytes or text, overwritten on drop. `Debug` shows neither.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Wiping<B: Buffer>(B);

/// What can be in a [`Wiping`]: `Vec<u8>` and `String`.
pub trait Buffer: Default + AsRef<[u8]> + Borrow<Self::Part> {
    /// What is appended to it.
    type Part: ?Sized + AsRef<[u8]>;

    /// An empty one with room for `bytes`.
    #[must_use]
    fn with_room(bytes: usize) -> Self;

    /// Room for how many bytes there is, used or not.
    fn room(&self) -> usize;

    /// Appends `part`, for which there is room.
    fn push(&mut self, part: &Self::Part);

    /// Its memory.
    fn into_memory(self) -> Vec<u8>;
}

impl Buffer for Vec<u8> {
    type Part = [u8];

    fn with_room(bytes: usize) -> Self {
        Self::with_capacity(bytes)
    }

    fn room(&self) -> usize {
        self.capacity()
    }

    fn push(&mut self, part: &[u8]) {
        self.extend_from_slice(part);
    }

    fn into_memory(self) -> Vec<u8> {
        self
    }
}

impl Buffer for String {
    type Part = str;

    fn with_room(bytes: usize) -> Self {
        Self::with_capacity(bytes)
    }

    fn room(&self) -> usize {
        self.capacity()
    }

    fn push(&mut self, part: &str) {
        self.push_str(part);
    }

    fn into_memory(self) -> Vec<u8> {
        self.into_bytes()
    }
}

impl<B: Buffer> Wiping<B> {
    /// Takes over `buffer` without copying it.
    pub fn new(buffer: B) -> Self {
        Self(buffer)
    }

    /// An empty one with room for `bytes`.
    pub fn with_capacity(bytes: usize) -> Self {
        Self(B::with_room(bytes))
    }

    /// Appends `part`. If there is no room for it, everything moves to twice the room or more, and the old memory is wiped.
    pub fn append(&mut self, part: &B::Part) {
        let needed = self.0.as_ref().len() + part.as_ref().len();
        if needed > self.0.room() {
            let mut larger = Self::with_capacity(needed.max(2 * self.0.room()).max(64));
            larger.0.push(self.0.borrow());
            // The old one is wiped here.
            *self = larger;
        }
        self.0.push(part);
    }
}

impl Wiping<String> {
    /// The same text as bytes, without copying it.
    pub fn into_bytes(mut self) -> Wiping<Vec<u8>> {
        Wiping(mem::take(&mut self.0).into_bytes())
    }
}

impl Wiping<Vec<u8>> {
    /// The same bytes as text, without copying them, or they themselves if they are not UTF-8.
    ///
    /// # Errors
    /// The bytes, with how many of them are UTF-8.
    pub fn into_text(mut self) -> Result<Wiping<String>, (Self, usize)> {
        String::from_utf8(mem::take(&mut self.0)).map(Wiping).map_err(|error| {
            let valid = error.utf8_error().valid_up_to();
            (Self(error.into_bytes()), valid)
        })
    }
}

impl<B: Buffer> Drop for Wiping<B> {
    fn drop(&mut self) {
        let mut memory = mem::take(&mut self.0).into_memory();
        memory.clear();
        let rest = memory.spare_capacity_mut();
        rest.fill(MaybeUninit::new(0));
        optimization_barrier(rest);
    }
}

/// Overwrites `bytes` with zeros.
pub fn wipe(bytes: &mut [u8]) {
    bytes.fill(0);
    optimization_barrier(bytes);
}

impl<B: Buffer> Deref for Wiping<B> {
    type Target = B;

    fn deref(&self) -> &B {
        &self.0
    }
}

impl<B: Buffer> DerefMut for Wiping<B> {
    fn deref_mut(&mut self) -> &mut B {
        &mut self.0
    }
}

impl<B: Buffer> From<B> for Wiping<B> {
    fn from(buffer: B) -> Self {
        Self(buffer)
    }
}

impl<B: Buffer> fmt::Debug for Wiping<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wiping(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_appended_is_there_however_often_it_moved() {
        let mut bytes = Wiping::<Vec<u8>>::default();
        let mut text = Wiping::<String>::default();
        for number in 0..1000_u16 {
            bytes.append(&[number.to_le_bytes()[0]; 7]);
            text.append("é ");
        }
        assert_eq!(bytes.len(), 7000);
        assert!(bytes.chunks(7).zip(0..1000_u16).all(|(chunk, number)| chunk == [number.to_le_bytes()[0]; 7]));
        assert_eq!(*text, "é ".repeat(1000));
    }

    #[test]
    fn text_and_bytes_become_each_other_without_moving() {
        let text = Wiping::new("secret".to_owned());
        let place = text.as_ptr();
        let bytes = text.into_bytes();
        assert_eq!((bytes.as_ptr(), &**bytes), (place, b"secret".as_slice()));
        assert_eq!(**bytes.into_text().unwrap(), *"secret");
        let (bytes, valid) = Wiping::new(b"ab\xff".to_vec()).into_text().unwrap_err();
        assert_eq!((&**bytes, valid), (b"ab\xff".as_slice(), 2));
    }

    #[test]
    fn nothing_is_shown() {
        assert_eq!(format!("{:?}", Wiping::new("secret".to_owned())), "Wiping(..)");
    }

    #[test]
    fn wiped_bytes_are_zero() {
        let mut bytes = *b"secret";
        wipe(&mut bytes);
        assert_eq!(bytes, [0; 6]);
    }
}
