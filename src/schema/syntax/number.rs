//! The numbers of GraphQL.

use async_graphql_value::{Name, Number, Value};

use super::{is_name_continue, is_name_start};

/// The length of the number at the beginning of a text, in bytes, and whether it has a fraction or
/// an exponent. The error is the offset at which the text stops being a number.
pub(super) fn length(text: &str) -> Result<(usize, bool), usize> {
    let bytes = text.as_bytes();
    let mut at = usize::from(bytes.first() == Some(&b'-'));
    if bytes.get(at) == Some(&b'0') {
        at += 1;
    } else {
        at = digits(bytes, at)?;
    }
    let mut is_float = false;
    if bytes.get(at) == Some(&b'.') {
        is_float = true;
        at = digits(bytes, at + 1)?;
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        is_float = true;
        at += 1 + usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        at = digits(bytes, at)?;
    }
    // `01`, `1.2.3` and `1a` are not two tokens.
    match text[at..].chars().next() {
        Some(next) if is_name_continue(next) || next == '.' => Err(at),
        _ => Ok((at, is_float)),
    }
}

/// The end of at least one digit from `at` on.
fn digits(bytes: &[u8], at: usize) -> Result<usize, usize> {
    let count = bytes[at..]
        .iter()
        .take_while(|b| b.is_ascii_digit())
        .count();
    if count == 0 { Err(at) } else { Ok(at + count) }
}

/// The value of an integer. One that does not fit 64 bits is returned as an enum value with the
/// text of the number, which no document can contain: the type of the value decides what it is.
pub(super) fn int(text: &str) -> Value {
    match text.parse::<i64>() {
        Ok(number) => Value::Number(number.into()),
        Err(_) => Value::Enum(Name::new(text)),
    }
}

/// The text of an integer that [`int`] did not read as a number.
pub(in crate::schema) fn long_int(value: &Value) -> Option<&str> {
    match value {
        Value::Enum(name) if !name.starts_with(is_name_start) => Some(name.as_str()),
        _ => None,
    }
}

/// The value of another number. None if it is beyond the range of a float.
pub(in crate::schema) fn float(text: &str) -> Option<Value> {
    Number::from_f64(text.parse().ok()?).map(Value::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_end_where_the_specification_says() {
        for (text, expected) in [
            ("0", Ok((1, false))),
            ("-0", Ok((2, false))),
            ("10)", Ok((2, false))),
            ("-1.5e+3 ", Ok((7, true))),
            ("1e10", Ok((4, true))),
            ("0.0", Ok((3, true))),
            ("00", Err(1)),
            ("01", Err(1)),
            ("-", Err(1)),
            ("-a", Err(1)),
            ("1.", Err(2)),
            ("1.a", Err(2)),
            ("1e", Err(2)),
            ("1e+", Err(3)),
            ("1.2.3", Err(3)),
            ("1x", Err(1)),
            ("0xF", Err(1)),
            ("1_000", Err(1)),
            ("1.0e5.2", Err(5)),
        ] {
            assert_eq!(length(text), expected, "{text}");
        }
    }
}
