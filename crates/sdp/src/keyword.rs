//! Enums whose variants are words.

/// An enum of known words and `Other` for all that come later: with `as_str`, `Display`, `From<&str>`, and `parse`, which
/// takes the next word.
macro_rules! keywords {
    (
        $(#[$meta:meta])*
        $name:ident, $expected:literal {
            $($(#[$variant_meta:meta])* $variant:ident = $word:literal,)*
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$variant_meta])* $variant,)*
            /// Another, by its word.
            Other($crate::Text),
        }

        impl $name {
            /// The word.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $word,)*
                    Self::Other(word) => word,
                }
            }

            #[allow(dead_code, reason = "some stand only within words")]
            pub(crate) fn parse(words: &mut $crate::words::Words<'_>) -> Result<Self, $crate::error::Malformed> {
                words.word($expected).map(|word| Self::read(words.source(), word))
            }

            pub(crate) fn read(source: $crate::words::Source<'_>, word: &str) -> Self {
                Self::known(word).unwrap_or_else(|| Self::Other(source.text(word)))
            }

            fn known(word: &str) -> Option<Self> {
                match word {
                    $($word => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }

        impl From<&str> for $name {
            fn from(word: &str) -> Self {
                Self::known(word).unwrap_or_else(|| Self::Other(word.into()))
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

pub(crate) use keywords;
