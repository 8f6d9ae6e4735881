//! The allocator, for a process of milliseconds.
//!
//! Compiling makes many small texts, and all of them are dropped together. With mimalloc it takes a fifth less than with the
//! allocator of glibc. The benchmark of the compiler is built with this file, too.

use std::alloc::{GlobalAlloc, Layout};
use std::ffi::{c_int, c_long};

use libmimalloc_sys::{
    mi_free, mi_malloc, mi_malloc_aligned, mi_option_set, mi_realloc, mi_realloc_aligned, mi_zalloc, mi_zalloc_aligned,
};

#[global_allocator]
static ALLOCATOR: Mimalloc = Mimalloc;

/// mimalloc, asked for an alignment only where one is needed: to be asked takes it twice as many instructions as to allocate.
struct Mimalloc;

/// Whether whatever mimalloc gives is aligned well enough: all it gives is for a pointer.
const fn is_usual(layout: Layout) -> bool {
    layout.align() <= align_of::<usize>()
}

// SAFETY: mimalloc keeps the contract of an allocator, and blocks with and without an alignment are freed in the same way.
unsafe impl GlobalAlloc for Mimalloc {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: any size may be asked for, and alignments of layouts are powers of two.
        unsafe {
            match is_usual(layout) {
                true => mi_malloc(layout.size()).cast(),
                false => mi_malloc_aligned(layout.size(), layout.align()).cast(),
            }
        }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: any size may be asked for, and alignments of layouts are powers of two.
        unsafe {
            match is_usual(layout) {
                true => mi_zalloc(layout.size()).cast(),
                false => mi_zalloc_aligned(layout.size(), layout.align()).cast(),
            }
        }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, _: Layout) {
        // SAFETY: the caller has the block from here.
        unsafe { mi_free(block.cast()) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller has the block from here, with this layout.
        unsafe {
            match is_usual(layout) {
                true => mi_realloc(block.cast(), size).cast(),
                false => mi_realloc_aligned(block.cast(), size, layout.align()).cast(),
            }
        }
    }
}

/// `mi_option_destroy_on_exit`; 2 leaves memory to the kernel when the process ends. Else it is given back piece by piece, a
/// system call each.
const AT_THE_END: (c_int, c_long) = (22, 2);
/// `mi_option_arena_reserve`: kibibytes of addresses to begin with, the fewest there can be. To describe the gibibyte that is
/// usual takes 40 pages.
const FIRST_ARENA: (c_int, c_long) = (23, 64 << 10);

/// Among what the loader calls before `main`: the first allocation is made before it, too.
#[used]
#[unsafe(link_section = ".init_array")]
static SET_UP: extern "C" fn() = set_up;

extern "C" fn set_up() {
    for (option, value) in [AT_THE_END, FIRST_ARENA] {
        // SAFETY: it sets a number in a table, there is one thread, and the allocator has made nothing with it yet.
        unsafe { mi_option_set(option, value) };
    }
}
