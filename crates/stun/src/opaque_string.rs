//! OpaqueString (RFC 8265 §4.2): the one form of a user name or password that is typed in several.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::canonical_combining_class;

/// Why a text is no user name or password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpaqueStringError {
    /// There is nothing in it.
    #[error("empty")]
    Empty,
    /// It is longer than its attribute may be.
    #[error("too long")]
    TooLong,
    /// A character that may not stand in it, or not at its place.
    #[error("character {0:?} not permitted")]
    Character(char),
}

/// `text` as all that type it mean it: spaces of any kind become U+0020 and the whole Normalization Form C; letters keep
/// their case and width.
///
/// Characters that no version of Unicode will permit are refused (RFC 8264 §9), and those that need a context and lack it
/// (RFC 5892 §A). Both are judged in the normal form (RFC 8264 §7), so that a text in its own form stays as it is. Characters
/// not assigned yet are permitted, since what is assigned depends on who asks; and ZERO WIDTH NON-JOINER stands between any
/// two letters of a script that joins.
///
/// # Errors
/// Where there is nothing or a character is not permitted.
pub fn opaque_string(text: &str) -> Result<Cow<'_, str>, OpaqueStringError> {
    if text.is_empty() {
        return Err(OpaqueStringError::Empty);
    }
    if let Some(control) = text.chars().find(char::is_ascii_control) {
        return Err(OpaqueStringError::Character(control));
    }
    if text.is_ascii() {
        return Ok(Cow::Borrowed(text));
    }
    let characters: Vec<char> = text.chars().map(|c| if is_space(c) { ' ' } else { c }).nfc().collect();
    for (at, character) in characters.iter().enumerate() {
        if is_disallowed(*character) || !fits_its_context(&characters, at, *character) {
            return Err(OpaqueStringError::Character(*character));
        }
    }
    Ok(Cow::Owned(characters.into_iter().collect()))
}

/// Space separators (General_Category Zs).
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}')
}

/// Controls, characters that are not seen, noncharacters, old Hangul Jamo and the exceptions of RFC 8264 §9.6.
fn is_disallowed(c: char) -> bool {
    c.is_control() || is_ignorable(c) || is_old_jamo(c) || is_exception(c) || u32::from(c) & 0xfffe == 0xfffe
}

/// Default_Ignorable_Code_Point without the joiners, which have a rule of their own, and the noncharacters within the
/// Arabic block.
fn is_ignorable(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fdd0}'..='\u{fdef}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
        | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}')
}

/// Hangul_Syllable_Type L, V and T.
fn is_old_jamo(c: char) -> bool {
    matches!(c, '\u{1100}'..='\u{11ff}' | '\u{a960}'..='\u{a97c}' | '\u{d7b0}'..='\u{d7c6}' | '\u{d7cb}'..='\u{d7fb}')
}

fn is_exception(c: char) -> bool {
    matches!(c, '\u{640}' | '\u{7fa}' | '\u{302e}' | '\u{302f}' | '\u{3031}'..='\u{3035}' | '\u{303b}')
}

/// The rules of RFC 5892 §A for the character at `at`.
fn fits_its_context(characters: &[char], at: usize, character: char) -> bool {
    let before = at.checked_sub(1).and_then(|at| characters.get(at)).copied();
    let after = characters.get(at + 1).copied();
    let is = |neighbour: Option<char>, test: fn(char) -> bool| neighbour.is_some_and(test);
    let any = |test: fn(char) -> bool| characters.iter().copied().any(test);
    match character {
        '\u{200c}' => is(before, is_virama) || is(before, joins) && is(after, joins),
        '\u{200d}' => is(before, is_virama),
        '\u{b7}' => before == Some('l') && after == Some('l'),
        '\u{375}' => is(after, |c| matches!(c, '\u{370}'..='\u{3ff}' | '\u{1f00}'..='\u{1fff}')),
        '\u{5f3}' | '\u{5f4}' => is(before, |c| matches!(c, '\u{591}'..='\u{5f4}' | '\u{fb1d}'..='\u{fb4f}')),
        '\u{30fb}' => any(is_japanese),
        '\u{660}'..='\u{669}' => !any(|c| matches!(c, '\u{6f0}'..='\u{6f9}')),
        '\u{6f0}'..='\u{6f9}' => !any(|c| matches!(c, '\u{660}'..='\u{669}')),
        _ => true,
    }
}

/// Canonical_Combining_Class Virama.
fn is_virama(c: char) -> bool {
    canonical_combining_class(c) == 9
}

/// Blocks of the scripts whose letters take the shape of their neighbours.
fn joins(c: char) -> bool {
    let blocks = matches!(c, '\u{620}'..='\u{8ff}' | '\u{1800}'..='\u{18af}' | '\u{a840}'..='\u{a877}' | '\u{fb50}'..='\u{fdff}');
    blocks && c.is_alphabetic()
}

/// Hiragana, Katakana and Han, without the middle dot itself.
fn is_japanese(c: char) -> bool {
    matches!(c,
        '\u{3005}' | '\u{3007}' | '\u{3041}'..='\u{309f}' | '\u{30a1}'..='\u{30fa}' | '\u{30fd}'..='\u{30ff}'
        | '\u{31f0}'..='\u{31ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}'
        | '\u{ff66}'..='\u{ff9d}' | '\u{20000}'..='\u{3ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_rfc_8265_are_kept_or_mapped() {
        for (text, expected) in [
            ("correct horse battery staple", "correct horse battery staple"),
            ("Correct Horse Battery Staple", "Correct Horse Battery Staple"),
            ("\u{3c0}\u{df}\u{e5}", "\u{3c0}\u{df}\u{e5}"),
            ("Jack of \u{2666}s", "Jack of \u{2666}s"),
            ("foo\u{1680}bar", "foo bar"),
        ] {
            assert_eq!(opaque_string(text).as_deref(), Ok(expected));
        }
        assert_eq!(opaque_string(""), Err(OpaqueStringError::Empty));
        assert_eq!(opaque_string("my cat is a \u{9}by"), Err(OpaqueStringError::Character('\u{9}')));
    }

    #[test]
    fn forms_of_one_text_become_one() {
        assert_eq!(opaque_string("e\u{301}").as_deref(), Ok("\u{e9}"));
        assert_eq!(opaque_string("\u{212b}").as_deref(), Ok("\u{c5}"));
        assert_eq!(opaque_string("\u{ff21}").as_deref(), Ok("\u{ff21}"));
        assert_eq!(
            opaque_string("\u{30de}\u{30c8}\u{3000}\u{1f600}").as_deref(),
            Ok("\u{30de}\u{30c8} \u{1f600}")
        );
    }

    /// GREEK ANO TELEIA becomes MIDDLE DOT, which needs a context; letters of Hangul become syllables.
    #[test]
    fn characters_are_judged_in_the_normal_form() {
        assert_eq!(opaque_string("0\u{387}"), Err(OpaqueStringError::Character('\u{b7}')));
        assert_eq!(opaque_string("l\u{387}l").as_deref(), Ok("l\u{b7}l"));
        assert_eq!(opaque_string("\u{1100}\u{1161}").as_deref(), Ok("\u{ac00}"));
    }

    #[test]
    fn characters_without_their_context_are_refused() {
        for (fine, wrong) in [
            ("l\u{b7}l", "a\u{b7}b"),
            ("\u{375}\u{3b1}", "\u{375}a"),
            ("\u{5d0}\u{5f3}", "a\u{5f3}"),
            ("\u{30a2}\u{30fb}\u{30a2}", "a\u{30fb}b"),
            ("\u{660}\u{661}", "\u{660}\u{6f1}"),
            ("\u{915}\u{94d}\u{200d}", "a\u{200d}b"),
            ("\u{628}\u{200c}\u{628}", "a\u{200c}b"),
        ] {
            assert!(opaque_string(fine).is_ok(), "{fine:?}");
            assert!(matches!(opaque_string(wrong), Err(OpaqueStringError::Character(_))), "{wrong:?}");
        }
    }

    #[test]
    fn characters_that_are_never_permitted_are_refused() {
        for c in [
            '\u{ad}',
            '\u{85}',
            '\u{200b}',
            '\u{2028}',
            '\u{feff}',
            '\u{ffff}',
            '\u{1fffe}',
            '\u{fdd0}',
            '\u{1100}',
            '\u{640}',
        ] {
            assert_eq!(opaque_string(&format!("a{c}")), Err(OpaqueStringError::Character(c)));
        }
    }
}
