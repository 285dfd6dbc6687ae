//! What the platform's schema allows in a state: attributes whose names match `[0-9a-zA-Z_-]{1,255}` and whose values are
//! numbers, booleans, or strings of 64 KiB at most. What else is JSON is accepted all the same, as the seed accepts it, but
//! must share no message with others: one bad element may cost all of an array.

use super::MAX_DEPTH;
use crate::json::{excerpt, is_surrogate, json_string, string_bytes};
use std::{borrow::Cow, fmt};

/// The longest name of an attribute.
const MAX_NAME: usize = 255;

/// The longest string, in bytes of UTF-8.
const MAX_STRING: usize = 64 * 1024;

/// The first thing in a state that the platform's schema does not allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Breach<'a> {
    /// The attribute's name, or "meta".
    pub attribute: Cow<'a, str>,
    rule: &'static str,
}

impl fmt::Display for Breach<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "state has an attribute {:?} that Losant does not take: {}", excerpt(&self.attribute), self.rule)
    }
}

/// What a byte can be part of, as bits.
const NAME: u8 = 1;
const BLANK: u8 = 2;
const NUMBER: u8 = 4;

const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        if b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-') {
            classes[byte] |= NAME;
        }
        // Between names and values; checked already to be where they may be.
        if matches!(b, b' ' | b'\t' | b'\r' | b'\n' | b',' | b':') {
            classes[byte] |= BLANK;
        }
        if matches!(b, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E') {
            classes[byte] |= NUMBER;
        }
        byte += 1;
    }
    classes
};

/// Behind the bytes of a class that begin at `at`.
fn run(bytes: &[u8], mut at: usize, class: u8) -> usize {
    while bytes.get(at).is_some_and(|b| CLASSES[usize::from(*b)] & class != 0) {
        at += 1;
    }
    at
}

/// Looks for what the schema does not allow in a JSON object that has been found to be such: one pass, up to the first.
pub(super) fn check_attributes(json: &str) -> Option<Breach<'_>> {
    let bytes = json.as_bytes();
    let mut at = run(bytes, 1, BLANK);
    while bytes.get(at) == Some(&b'"') {
        let name_begins = at;
        // Nearly all names are allowed as they stand, and have been looked at then.
        at = run(bytes, at + 1, NAME);
        let is_allowed = bytes.get(at) == Some(&b'"') && (2..=MAX_NAME + 1).contains(&(at - name_begins));
        at = if is_allowed { at + 1 } else { end_of_string(bytes, name_begins) };
        let name = json.get(name_begins..at)?;
        let value = run(bytes, at, BLANK);
        at = match bytes.get(value) {
            Some(b'"') => end_of_string(bytes, value),
            Some(b't') => value + "true".len(),
            Some(b'f') => value + "false".len(),
            _ => run(bytes, value, NUMBER),
        };
        let rule = if is_allowed { None } else { name_rule(name) };
        if let Some(rule) = rule.or_else(|| value_rule(json.get(value..at)?)) {
            return Some(Breach { attribute: json_string(name).unwrap_or(Cow::Borrowed(name)), rule });
        }
        at = run(bytes, at, BLANK);
    }
    None
}

/// What is handed on with a state may be any JSON that any parser takes.
pub(super) fn check_meta(json: &str) -> Option<Breach<'static>> {
    let rule = any_rule(json)?;
    Some(Breach { attribute: "meta".into(), rule })
}

const BAD_NAME: &str = "names have 1 to 255 of the characters 0-9 a-z A-Z _ -";
const NOT_A_SCALAR: &str = "values are numbers, strings, true or false";
const TOO_LONG: &str = "strings have 65,536 bytes at most";
const LONE_SURROGATE: &str = "half a surrogate pair is no character";
const NOT_FINITE: &str = "the number is larger than a double can hold";
const TOO_DEEP: &str = "it is nested deeper than JSON parsers read";

fn name_rule(json: &str) -> Option<&'static str> {
    let allowed = |name: &[u8]| (1..=MAX_NAME).contains(&name.len()) && run(name, 0, NAME) == name.len();
    let bare = json.as_bytes().get(1..json.len().saturating_sub(1)).unwrap_or_default();
    // It may be so with escapes.
    let is_allowed =
        allowed(bare) || bare.contains(&b'\\') && json_string(json).is_some_and(|name| allowed(name.as_bytes()));
    (!is_allowed).then_some(BAD_NAME)
}

/// `json` is empty where neither a string nor a number nor a boolean begins.
fn value_rule(json: &str) -> Option<&'static str> {
    match json.as_bytes().first() {
        Some(b'"') => string_rule(json),
        Some(b't' | b'f') => None,
        Some(_) => number_rule(json),
        None => Some(NOT_A_SCALAR),
    }
}

fn string_rule(json: &str) -> Option<&'static str> {
    let is_plain = !json.as_bytes().contains(&b'\\');
    if is_plain {
        return (json.len() - 2 > MAX_STRING).then_some(TOO_LONG);
    }
    let content = string_bytes(json)?;
    if content.len() > MAX_STRING {
        return Some(TOO_LONG);
    }
    (0..content.len()).any(|at| is_surrogate(&content[at..])).then_some(LONE_SURROGATE)
}

fn number_rule(json: &str) -> Option<&'static str> {
    // No number of fewer digits without an exponent is out of range.
    let may_be_large = json.len() > 300 || json.bytes().any(|b| matches!(b, b'e' | b'E'));
    (may_be_large && !is_finite(json)).then_some(NOT_FINITE)
}

/// The decimal exponent of the largest double, and the first digits of the smallest number that is rounded up from there.
const LARGEST_EXPONENT: i64 = 308;
const TOO_LARGE_DIGITS: &[u8] = b"179769313486231580793728971405303415";

/// Whether a JSON number is one as a double. The parser of the standard library does more, in 30 KB.
fn is_finite(json: &str) -> bool {
    let (mantissa, exponent) = json.split_once(['e', 'E']).unwrap_or((json, "0"));
    let mantissa = mantissa.trim_start_matches('-');
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = || whole.bytes().chain(fraction.bytes());
    let Some(zeros) = digits().position(|digit| digit != b'0') else { return true };
    let exponent = exponent.strip_prefix('+').unwrap_or(exponent);
    // Of so many digits that it does not fit, it is enough to know the sign.
    let exponent = exponent.parse().unwrap_or(if exponent.starts_with('-') { i64::MIN / 2 } else { i64::MAX / 2 });
    let leading = whole.len() as i64 - 1 - zeros as i64 + exponent;
    leading < LARGEST_EXPONENT
        || leading == LARGEST_EXPONENT && digits().skip(zeros).lt(TOO_LARGE_DIGITS.iter().copied())
}

/// Looks for what some parsers do not read, anywhere in JSON.
fn any_rule(json: &str) -> Option<&'static str> {
    let bytes = json.as_bytes();
    let (mut at, mut depth) = (0, 0usize);
    while let Some(byte) = bytes.get(at) {
        let end = match byte {
            b'"' => end_of_string(bytes, at),
            b'-' | b'0'..=b'9' => run(bytes, at, NUMBER),
            b'[' | b'{' => {
                depth += 1;
                at + 1
            }
            b']' | b'}' => {
                depth = depth.saturating_sub(1);
                at + 1
            }
            _ => at + 1,
        };
        let rule = match byte {
            b'"' => string_rule(&json[at..end]).filter(|rule| *rule != TOO_LONG),
            b'-' | b'0'..=b'9' => number_rule(&json[at..end]),
            // In a message it lies within two levels.
            _ => (depth + 2 > MAX_DEPTH).then_some(TOO_DEEP),
        };
        if rule.is_some() {
            return rule;
        }
        at = end;
    }
    None
}

/// Behind the closing quote of the string that begins at `at`.
fn end_of_string(bytes: &[u8], at: usize) -> usize {
    let mut end = at + 1;
    while let Some(byte) = bytes.get(end) {
        match byte {
            b'"' => return end + 1,
            b'\\' => end += 2,
            _ => end += 1,
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(json: &str) -> Option<(String, &'static str)> {
        check_attributes(json).map(|breach| (breach.attribute.into_owned(), breach.rule))
    }

    #[test]
    fn what_the_schema_allows_is_allowed() {
        let longest = format!("{{\"{}\":\"{}\"}}", "n".repeat(MAX_NAME), "s".repeat(MAX_STRING));
        let escaped = format!("{{\"a\":\"{}\"}}", "\\n".repeat(MAX_STRING));
        for json in [
            "{}",
            r#"{"a":1,"B-_9":-0.5e-3,"c":"x","d":true,"e":false}"#,
            r#"{"\u0061":1,"a":"\ud83d\ude00","b":1e308,"c":"","d":1e-400}"#,
            &longest,
            &escaped,
        ] {
            assert_eq!(rule(json), None, "{json}");
        }
    }

    #[test]
    fn the_first_breach_is_named_with_its_rule() {
        let long_name = "n".repeat(MAX_NAME + 1);
        for (attribute, value, expected) in [
            ("", "1", BAD_NAME),
            ("a.b", "1", BAD_NAME),
            ("a b", "1", BAD_NAME),
            ("é", "1", BAD_NAME),
            (&long_name, "1", BAD_NAME),
            ("t", "null", NOT_A_SCALAR),
            ("t", "{\"lat\":1}", NOT_A_SCALAR),
            ("t", "[]", NOT_A_SCALAR),
            ("t", "1e400", NOT_FINITE),
            ("t", "-1E999", NOT_FINITE),
            ("t", &"9".repeat(400), NOT_FINITE),
            ("t", r#""\ud800""#, LONE_SURROGATE),
            ("t", r#""a\udc00b""#, LONE_SURROGATE),
            ("t", &format!("\"{}\"", "s".repeat(MAX_STRING + 1)), TOO_LONG),
            ("t", &format!("\"\\n{}\"", "s".repeat(MAX_STRING)), TOO_LONG),
            ("t", &format!("{}{}", "[".repeat(200), "]".repeat(200)), NOT_A_SCALAR),
        ] {
            let json = format!("{{\"good\":1,\"{attribute}\":{value},\"b.d\":null}}");
            assert_eq!(rule(&json), Some((attribute.to_owned(), expected)), "{json}");
        }
        let text = check_attributes(r#"{"a\nb":1}"#).unwrap().to_string();
        assert_eq!(text, format!("state has an attribute \"a\\nb\" that Losant does not take: {BAD_NAME}"));
    }

    #[test]
    fn a_number_is_finite_if_the_standard_library_says_so() {
        let nines = format!("{}.{}", "9".repeat(308), "9".repeat(50));
        for json in [
            "0e999999999999999999999",
            "1e-999999999999999999999",
            "1e999999999999999999999",
            "1.7976931348623157e308",
            "1.7976931348623158e308",
            "1.7976931348623159e+308",
            "-17976931348623158.1E292",
            "0.00017976931348623157e312",
            "2e308",
            "1e308",
            "9.9e307",
            "0.000e400",
            "12345e304",
            "12345e303",
            &nines,
            &format!("1{nines}"),
            &format!("2{nines}"),
        ] {
            let expected = json.parse::<f64>().is_ok_and(f64::is_finite);
            assert_eq!(is_finite(json), expected, "{json}");
        }
    }

    #[test]
    fn meta_may_be_anything_that_every_parser_reads() {
        let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        for json in ["1", "null", r#"{"a.b":[null,{"c":"\"\\\ud83d\ude00"}],"e":1e10}"#, &nested(MAX_DEPTH - 2)] {
            assert_eq!(check_meta(json), None, "{json}");
        }
        for (json, rule) in [
            (r#"{"a":["\ud800"]}"#, LONE_SURROGATE),
            (r#"[1,{"\udc00":2}]"#, LONE_SURROGATE),
            ("[[1e400]]", NOT_FINITE),
            (&nested(MAX_DEPTH - 1), TOO_DEEP),
        ] {
            assert_eq!(check_meta(json).map(|breach| breach.rule), Some(rule), "{json}");
        }
    }
}
