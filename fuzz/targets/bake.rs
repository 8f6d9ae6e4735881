//! Any bytes are a bake file, of either form: reading never panics, and its targets can be chosen.
#![no_main]
#![allow(dead_code, reason = "the reader is taken from the command line, which uses more of it")]

#[path = "../../cli/src/bake/mod.rs"]
mod bake;

/// What the reader says is wrong.
mod failure {
    pub(crate) struct Failure;

    pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

    impl Failure {
        pub(crate) fn message(_: &str, text: impl Into<String>, help: impl Into<String>) -> Self {
            assert!(!text.into().is_empty() && !help.into().is_empty(), "a refusal has a reason");
            Self
        }
    }
}

/// What the reader asks of texts that name places.
mod settings {
    pub(crate) fn is_address(text: &str) -> bool {
        text.contains("://")
    }
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    for name in ["docker-bake.hcl", "docker-bake.json"] {
        if let Ok(bake) = bake::Bake::read(name, &text, &|name| (name == "GIVEN").then(|| "given".to_owned())) {
            for target in &bake.targets {
                assert!(bake.chosen(&[target.name.clone()]).is_ok_and(|chosen| !chosen.is_empty()));
            }
            let _ = bake.chosen(&[]);
        }
    }
});
