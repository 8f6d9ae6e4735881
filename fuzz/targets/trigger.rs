//! Any bytes are an instruction that an image keeps, or are refused with a reason.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let parse = frontends::LANGUAGES[0].trigger.expect("Dockerfiles have triggers");
    let at = ast::Span::new(ast::FileId(0), 3, 9);
    match parse(&frontends::Trigger { bytes, at, escape: b'\\' }) {
        Ok(step) => assert_eq!(step.span, at),
        Err(error) => assert!(!error.message.is_empty() && error.at.is_none_or(|place| place == at)),
    }
});
