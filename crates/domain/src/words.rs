//! Enums whose variants are words, texts that are checked, and how many of what.

/// How many of what, as people say it: `1 alert`, `2 alerts`, `3 entries`.
pub fn counted(count: impl std::fmt::Display, one: &str) -> String {
    let count = count.to_string();
    let stem = one.strip_suffix('y');
    match stem.filter(|stem| !stem.ends_with(['a', 'e', 'o'])) {
        _ if count == "1" => format!("1 {one}"),
        Some(stem) => format!("{count} {stem}ies"),
        None => format!("{count} {one}s"),
    }
}

/// Names as people list them: `a, b and c`; of many the first ones.
pub fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    const MOST: usize = 6;
    let mut names: Vec<String> = names.map(str::to_owned).collect();
    if names.len() > MOST {
        let more = names.split_off(MOST - 1).len();
        names.push(format!("{more} more"));
    }
    match names.pop() {
        Some(last) if !names.is_empty() => format!("{} and {last}", names.join(", ")),
        last => last.unwrap_or_default(),
    }
}

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

/// Gives a text that is checked by `parse` its conversions and `Display`.
macro_rules! checked_text {
    ($name:ident, $error:ident) => {
        impl $name {
            /// As it is written.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = $error;
            fn try_from(text: String) -> Result<Self, $error> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(checked: $name) -> Self {
                checked.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}
pub(crate) use checked_text;

#[cfg(test)]
mod tests {
    use super::counted;

    #[test]
    fn one_is_one_and_all_others_are_many() {
        let told = [0, 1, 2].map(|n| counted(n, "alert"));
        assert_eq!(told, ["0 alerts", "1 alert", "2 alerts"]);
        assert_eq!(counted(3, "entry"), "3 entries");
        assert_eq!(counted(3, "key"), "3 keys");
    }
}
