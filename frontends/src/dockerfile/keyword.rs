//! The instructions there are.

macro_rules! keywords {
    ($($name:ident = $text:literal, $upper:literal;)*) => {
        /// An instruction's name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Keyword { $($name),* }

        /// Every name, lower case, sorted.
        const NAMES: &[(&str, Keyword)] = &[$(($text, Keyword::$name)),*];

        impl Keyword {
            /// The keyword that upper-case letters are.
            fn of_upper(word: &[u8]) -> Option<Self> {
                match word {
                    $($upper => Some(Self::$name),)*
                    _ => None,
                }
            }
        }
    };
}

keywords! {
    Add = "add", b"ADD";
    Arg = "arg", b"ARG";
    Cmd = "cmd", b"CMD";
    Copy = "copy", b"COPY";
    Entrypoint = "entrypoint", b"ENTRYPOINT";
    Env = "env", b"ENV";
    Expose = "expose", b"EXPOSE";
    From = "from", b"FROM";
    Healthcheck = "healthcheck", b"HEALTHCHECK";
    Label = "label", b"LABEL";
    Maintainer = "maintainer", b"MAINTAINER";
    OnBuild = "onbuild", b"ONBUILD";
    Run = "run", b"RUN";
    Shell = "shell", b"SHELL";
    StopSignal = "stopsignal", b"STOPSIGNAL";
    User = "user", b"USER";
    Volume = "volume", b"VOLUME";
    Workdir = "workdir", b"WORKDIR";
}

/// Bytes of the longest name.
const LONGEST: usize = 11;

impl Keyword {
    /// The keyword a word is, in any case: mostly the upper one.
    pub(super) fn parse(word: &[u8]) -> Option<Self> {
        if let Some(keyword) = Self::of_upper(word) {
            return Some(keyword);
        }
        if word.is_ascii() {
            let mut upper = [0; LONGEST];
            let upper = upper.get_mut(..word.len())?;
            upper.copy_from_slice(word);
            upper.make_ascii_uppercase();
            return Self::of_upper(upper);
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
        for name in Keyword::names() {
            let upper = name.to_ascii_uppercase();
            assert_eq!(Keyword::parse(name.as_bytes()), Keyword::of_upper(upper.as_bytes()), "{name}");
            assert!(Keyword::parse(name.as_bytes()).is_some(), "{name}");
        }
    }
}
