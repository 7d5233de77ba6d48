//! Work on many values at once: in chunks, on all cores where there are enough of them.

use rayon::iter::{IndexedParallelIterator as _, ParallelIterator as _};
use rayon::slice::ParallelSlice as _;

/// Values in a chunk. A file with fewer never starts a thread.
pub(crate) const CHUNK: usize = 512;

/// What `work` makes of each chunk of `items`, in order. It is told the number of the chunk's first item.
pub(crate) fn in_chunks<T: Sync, R: Send>(items: &[T], work: impl Fn(usize, &[T]) -> R + Sync) -> Vec<R> {
    if items.len() <= CHUNK {
        return items.chunks(CHUNK).map(|chunk| work(0, chunk)).collect();
    }
    items.par_chunks(CHUNK).enumerate().map(|(number, chunk)| work(number * CHUNK, chunk)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_worked_on_once_in_order() {
        for count in [0, 1, CHUNK, CHUNK + 1, 5 * CHUNK + 3] {
            let items: Vec<usize> = (0..count).collect();
            let results = in_chunks(&items, |first, chunk| {
                assert_eq!(chunk.first(), Some(&first));
                chunk.to_vec()
            });
            assert_eq!(results.concat(), items);
        }
    }
}
