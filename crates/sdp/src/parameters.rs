//! The parameters of formats, as text and by codec.

use std::fmt;

use crate::Text;
use crate::words::BLANKS;

/// What an `fmtp` attribute says of its format.
///
/// The text is kept as it stands. [`iter`](Self::iter) takes it apart where it has the usual form `name=value;…`;
/// the typed parameters of a codec, as [`OpusParameters`](crate::OpusParameters), are made of it with `TryFrom`, and it of
/// them with `From`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Parameters(Text);

impl Parameters {
    /// Parameters as they stand.
    pub fn new(text: impl Into<Text>) -> Self {
        Self(text.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The parameters between semicolons: names, with values where there is an equals sign.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        let parts = self.0.split(';').map(|part| part.trim_matches(BLANKS));
        parts.filter(|part| !part.is_empty()).map(|part| match part.split_once('=') {
            Some((name, value)) => (name.trim_end(), Some(value.trim_start())),
            None => (part, None),
        })
    }

    /// The value of the first parameter `name`, in whatever case that is written.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).and_then(|(_, value)| value)
    }

    /// `part` of the text as text that lives on.
    pub(crate) fn part(&self, part: &str) -> Text {
        self.0.part(part)
    }
}

impl From<&str> for Parameters {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl fmt::Display for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A parameter that has no type here.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Parameter {
    /// Its name.
    pub name: Text,
    /// Its value, where it has one.
    pub value: Option<Text>,
}

impl fmt::Display for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        self.value.as_ref().map_or(Ok(()), |value| write!(f, "={value}"))
    }
}

/// A parameter whose value is not one that it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the parameter {name} has a value that it can't have")]
pub struct InvalidParameterError {
    /// The parameter.
    pub name: &'static str,
}

/// The value of a typed parameter.
pub(crate) trait ParameterValue: Sized {
    /// `text` is a part of `parameters`.
    fn read(parameters: &Parameters, text: &str) -> Option<Self>;

    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;
}

macro_rules! numbers {
    ($($number:ty)*) => {$(
        impl ParameterValue for $number {
            fn read(_: &Parameters, text: &str) -> Option<Self> {
                crate::words::number(text)
            }

            fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{self}")
            }
        }
    )*};
}

numbers!(u8 u16 u32 u64);

/// `0` and `1`.
impl ParameterValue for bool {
    fn read(_: &Parameters, text: &str) -> Option<Self> {
        match text {
            "0" => Some(false),
            "1" => Some(true),
            _ => None,
        }
    }

    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self { "1" } else { "0" })
    }
}

impl ParameterValue for Text {
    fn read(parameters: &Parameters, text: &str) -> Option<Self> {
        Some(parameters.part(text))
    }

    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

/// The parameters of a codec: a struct with an optional field each, and one for all others.
macro_rules! parameters {
    (
        $(#[$meta:meta])*
        $name:ident {
            $($(#[$field_meta:meta])* $field:ident: $type:ty = $word:literal,)*
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, Default)]
        pub struct $name {
            $($(#[$field_meta])* pub $field: Option<$type>,)*
            /// All others, in order.
            pub others: Vec<$crate::Parameter>,
        }

        impl TryFrom<&$crate::Parameters> for $name {
            type Error = $crate::InvalidParameterError;

            fn try_from(parameters: &$crate::Parameters) -> Result<Self, Self::Error> {
                let mut typed = Self::default();
                for (name, value) in parameters.iter() {
                    $(if typed.$field.is_none() && name.eq_ignore_ascii_case($word) {
                        let read = value.and_then(|value| $crate::parameters::ParameterValue::read(parameters, value));
                        typed.$field = Some(read.ok_or($crate::InvalidParameterError { name: $word })?);
                        continue;
                    })*
                    typed.others.push($crate::Parameter {
                        name: parameters.part(name),
                        value: value.map(|value| parameters.part(value)),
                    });
                }
                Ok(typed)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let mut separator = "";
                $(if let Some(value) = &self.$field {
                    write!(f, "{separator}{}=", $word)?;
                    $crate::parameters::ParameterValue::write(value, f)?;
                    separator = ";";
                })*
                for other in &self.others {
                    write!(f, "{separator}{other}")?;
                    separator = ";";
                }
                Ok(())
            }
        }

        impl From<$name> for $crate::Parameters {
            fn from(typed: $name) -> Self {
                Self::new(typed.to_string())
            }
        }
    };
}

pub(crate) use parameters;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_kept_and_taken_apart() {
        let parameters = Parameters::from(" a=1; B = x=y ;;flag;a=2 ");
        let parts: Vec<_> = parameters.iter().collect();
        assert_eq!(parts, [("a", Some("1")), ("B", Some("x=y")), ("flag", None), ("a", Some("2"))]);
        assert_eq!(
            (parameters.get("A"), parameters.get("b"), parameters.get("flag")),
            (Some("1"), Some("x=y"), None)
        );
        assert_eq!(parameters.to_string(), " a=1; B = x=y ;;flag;a=2 ");
    }
}
