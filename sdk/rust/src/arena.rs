//! Memory for one short call.
//!
//! Every call gets a fresh instance that is thrown away afterwards, so freeing is mostly wasted work, and growing the
//! memory costs the host system calls. The arena hands out a fixed block from the front and takes back only the newest
//! piece. What does not fit (a label of 100 KB) comes from the standard allocator, which grows the memory.

#[cfg(target_arch = "wasm32")]
#[global_allocator]
static ARENA: bump::Arena<{ 192 << 10 }> = bump::Arena::new();

#[cfg(any(target_arch = "wasm32", test))]
#[expect(
    unsafe_code,
    reason = "an allocator works on raw memory; wasm has one thread, tests keep each arena to themselves"
)]
mod bump {
    use std::alloc::{GlobalAlloc, Layout, System};
    use std::cell::{Cell, UnsafeCell};

    #[repr(align(16))]
    struct Block<const N: usize>([u8; N]);

    /// `N` bytes from which pieces are cut; beyond them the standard allocator.
    pub(super) struct Arena<const N: usize> {
        block: UnsafeCell<Block<N>>,
        /// Bytes in use from the front.
        used: Cell<usize>,
    }

    // SAFETY: a guest runs on one thread.
    unsafe impl<const N: usize> Sync for Arena<N> {}

    impl<const N: usize> Arena<N> {
        pub(super) const fn new() -> Self {
            Self { block: UnsafeCell::new(Block([0; N])), used: Cell::new(0) }
        }

        fn base(&self) -> *mut u8 {
            self.block.get().cast()
        }

        /// Where `piece` starts within the arena; none when it came from the standard allocator.
        fn offset(&self, piece: *mut u8) -> Option<usize> {
            let offset = (piece as usize).wrapping_sub(self.base() as usize);
            (offset < N).then_some(offset)
        }
    }

    // SAFETY: pieces are aligned, lie inside the block and do not overlap, because `used` only moves back over the
    // newest piece; every other piece is the standard allocator's own.
    unsafe impl<const N: usize> GlobalAlloc for Arena<N> {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            let base = self.base() as usize;
            let start = (base + self.used.get()).next_multiple_of(layout.align()) - base;
            match start.checked_add(layout.size()) {
                // An empty rest is left alone so that no piece starts behind the block.
                Some(end) if end <= N && start < N => {
                    self.used.set(end);
                    // SAFETY: `start` is inside the block.
                    unsafe { self.base().add(start) }
                }
                // SAFETY: the caller's contract is passed on.
                _ => unsafe { System.alloc(layout) },
            }
        }

        unsafe fn dealloc(&self, piece: *mut u8, layout: Layout) {
            match self.offset(piece) {
                Some(start) if start + layout.size() == self.used.get() => self.used.set(start),
                Some(_) => {}
                // SAFETY: the piece is not ours, so the standard allocator made it.
                None => unsafe { System.dealloc(piece, layout) },
            }
        }

        unsafe fn realloc(&self, piece: *mut u8, layout: Layout, size: usize) -> *mut u8 {
            let Some(start) = self.offset(piece) else {
                // SAFETY: as in `dealloc`.
                return unsafe { System.realloc(piece, layout, size) };
            };
            let newest = start + layout.size() == self.used.get();
            if newest && start.checked_add(size).is_some_and(|end| end <= N) {
                self.used.set(start + size);
                return piece;
            }
            if size <= layout.size() {
                return piece;
            }
            // SAFETY: the caller promises that `size` with the old alignment is a layout; the new piece is larger
            // than the old one and apart from it.
            unsafe {
                let moved = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
                if !moved.is_null() {
                    std::ptr::copy_nonoverlapping(piece, moved, layout.size());
                    self.dealloc(piece, layout);
                }
                moved
            }
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        fn layout(size: usize, align: usize) -> Layout {
            Layout::from_size_align(size, align).expect("layout")
        }

        #[test]
        fn the_newest_piece_grows_in_place_and_is_taken_back() {
            let arena: Arena<256> = Arena::new();
            // SAFETY: every piece is used within its size and freed with its own layout.
            unsafe {
                let first = arena.alloc(layout(3, 1));
                let second = arena.alloc(layout(16, 8));
                assert_eq!(second as usize % 8, 0);
                assert!(second as usize >= first as usize + 3);
                second.write_bytes(7, 16);
                assert_eq!(arena.realloc(second, layout(16, 8), 64), second);
                assert_eq!(*second.add(15), 7);
                let moved = arena.realloc(first, layout(3, 1), 8);
                assert_ne!(moved, first, "only the newest piece can grow where it is");
                arena.dealloc(moved, layout(8, 1));
                arena.dealloc(second, layout(64, 8));
                assert_eq!(arena.used.get(), 8, "the gap before an aligned piece stays used");
            }
        }

        #[test]
        fn what_does_not_fit_comes_from_the_standard_allocator_and_survives_the_move() {
            let arena: Arena<64> = Arena::new();
            // SAFETY: as above.
            unsafe {
                let piece = arena.alloc(layout(40, 4));
                piece.write_bytes(9, 40);
                let large = arena.realloc(piece, layout(40, 4), 100_000);
                assert!(arena.offset(large).is_none());
                assert_eq!(std::slice::from_raw_parts(large, 40), [9; 40]);
                assert_eq!(arena.used.get(), 0, "the old piece was the newest and is free again");
                arena.dealloc(large, layout(100_000, 4));
            }
        }
    }
}
