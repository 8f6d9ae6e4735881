//! The allocator, for a process of milliseconds.
//!
//! Compiling makes many small texts, and all of them are dropped together.

use std::ffi::{c_int, c_long};

use libmimalloc_sys::mi_option_set;
use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

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
