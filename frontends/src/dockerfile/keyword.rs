//! The instructions there are.

macro_rules! keywords {
    ($($name:ident = $text:literal),* $(,)?) => {
        /// An instruction's name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Keyword { $($name),* }

        /// Every name, lower case, sorted.
        const NAMES: &[(&str, Keyword)] = &[$(($text, Keyword::$name)),*];

        impl Keyword {
            /// The keyword that lower-case letters are.
            fn of_lower(word: &[u8]) -> Option<Self> {
                match std::str::from_utf8(word).ok()? {
                    $($text => Some(Self::$name),)*
                    _ => None,
                }
            }
        }
    };
}

keywords! {
    Add = "add",
    Arg = "arg",
    Cmd = "cmd",
    Copy = "copy",
    Entrypoint = "entrypoint",
    Env = "env",
    Expose = "expose",
    From = "from",
    Healthcheck = "healthcheck",
    Label = "label",
    Maintainer = "maintainer",
    OnBuild = "onbuild",
    Run = "run",
    Shell = "shell",
    StopSignal = "stopsignal",
    User = "user",
    Volume = "volume",
    Workdir = "workdir",
}

/// Bytes of the longest name.
const LONGEST: usize = 11;

impl Keyword {
    /// The keyword a word is, in any case.
    pub(super) fn parse(word: &[u8]) -> Option<Self> {
        if word.is_ascii() {
            let mut lower = [0; LONGEST];
            let lower = lower.get_mut(..word.len())?;
            lower.copy_from_slice(word);
            lower.make_ascii_lowercase();
            return Self::of_lower(lower);
        }
        // Letters outside ASCII whose lower case is in it: the Kelvin sign is a k.
        let lower = ast::case::lower(std::str::from_utf8(word).ok()?);
        NAMES.iter().find(|(name, _)| *name == lower).map(|(_, k)| *k)
    }

    /// Every name, lower case, sorted.
    pub(super) fn names() -> impl Iterator<Item = &'static str> {
        NAMES.iter().map(|(name, _)| *name)
    }

    /// Whether here-documents may follow it.
    pub(super) fn takes_documents(self) -> bool {
        matches!(self, Self::Add | Self::Copy | Self::Run)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_any_case() {
        assert_eq!(Keyword::parse(b"rUn"), Some(Keyword::Run));
        assert_eq!(Keyword::parse("WOR\u{212a}DIR".as_bytes()), Some(Keyword::Workdir));
        assert_eq!(Keyword::parse(b"runs"), None);
        assert!(Keyword::names().is_sorted());
        assert_eq!(Keyword::names().map(str::len).max(), Some(LONGEST));
        assert!(Keyword::names().all(|name| Keyword::parse(name.as_bytes()).is_some()));
    }
}
