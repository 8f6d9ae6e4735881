//! Any bytes are a word in any mode.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((first, raw)) = bytes.split_first() else { return };
    let escape = if first & 1 == 0 { b'\\' } else { b'`' };
    ast::word::check(raw, escape);
});
