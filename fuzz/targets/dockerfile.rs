//! Any bytes parse as a Dockerfile, and what holds for modules holds.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    frontends::invariants::check(&frontends::LANGUAGES[0], bytes);
});
