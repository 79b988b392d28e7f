//! Enums whose variants are words.

/// Gives an enum the words of its variants: `ALL`, `as_str`, `parse` and `Display`.
#[macro_export]
macro_rules! words {
    ($name:ident { $($variant:ident: $word:literal),* $(,)? }) => {
        impl $name {
            /// All of them.
            pub const ALL: [Self; [$($word),*].len()] = [$(Self::$variant),*];

            /// The word as it is stored and shown.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word),*
                }
            }

            /// Reads the word.
            pub fn parse(text: &str) -> Option<Self> {
                Self::ALL.into_iter().find(|one| one.as_str() == text)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}
