//! What the parser accepts, as a table. The cases are those of the reference implementation's lexer
//! and parser.

use async_graphql::parser::{
    parse_query,
    types::{ExecutableDocument, Selection},
};
use async_graphql_value::{Number, Value};

use super::parse_document;

/// The value of the argument in `{ f(a: VALUE) }`.
fn value(text: &str) -> Result<Value, String> {
    let document = parse_document(&format!("{{ f(a: {text}) }}")).map_err(|e| e.to_string())?;
    let (_, operation) = document.operations.iter().next().unwrap();
    let Selection::Field(field) = &operation.node.selection_set.node.items[0].node else {
        panic!("a field");
    };
    Ok(field.node.arguments[0].1.node.clone())
}

fn number(number: impl Into<f64>) -> Value {
    let number = number.into();
    let whole = (number.fract() == 0.0 && number.abs() < 1e3).then_some(number as i64);
    Value::Number(whole.map_or_else(|| Number::from_f64(number).unwrap(), Into::into))
}

/// The message and the position of the error.
fn error(text: &str) -> (String, Option<(usize, usize)>) {
    let error = parse_document(text).expect_err(text);
    let position = error.position.map(|at| (at.line, at.column));
    (error.to_string().replace("Syntax error: ", ""), position)
}

#[test]
fn strings_have_the_escapes_of_the_specification() {
    for (text, expected) in [
        (r#""""#, ""),
        (r#""simple""#, "simple"),
        (r#"" white space ""#, " white space "),
        (r#""quote \"""#, "quote \""),
        (r#""escaped \n\r\b\t\f""#, "escaped \n\r\u{8}\t\u{c}"),
        (r#""slashes \\ \/""#, "slashes \\ /"),
        ("\"unescaped \u{1f600}\"", "unescaped \u{1f600}"),
        ("\"a tab\t\"", "a tab\t"),
        (
            r#""unicode \u1234\u5678\u90AB\uCDEF""#,
            "unicode \u{1234}\u{5678}\u{90AB}\u{CDEF}",
        ),
        (
            r#""string with unicode escape \u{1F600}""#,
            "string with unicode escape \u{1f600}",
        ),
        (r#""\u{0}\u{41}\u{000000041}""#, "\u{0}AA"),
        (r#""\u{10FFFF}""#, "\u{10ffff}"),
        (r#""\uD83D\uDE00""#, "\u{1f600}"),
        (r#""\ud83d\ude00!""#, "\u{1f600}!"),
        (r#""\uDBFF\uDFFF""#, "\u{10ffff}"),
    ] {
        assert_eq!(
            value(text),
            Ok(Value::String(expected.to_owned())),
            "{text}"
        );
    }
}

#[test]
fn other_escapes_are_errors_with_a_position() {
    for text in [
        r#""\z""#,
        r#""\x41""#,
        r#""\u1""#,
        r#""\u0XX1""#,
        r#""\uXXXX""#,
        r#""\uFXXX""#,
        r#""\u{}""#,
        r#""\u{FXXX}""#,
        r#""\u{FFFF""#,
        r#""\u{FFFF"}""#,
        r#""\u{110000}""#,
        r#""\u{FFFFFFFF}""#,
        r#""\u{D83D}""#,
        r#""\u{+41}""#,
        r#""\uD83D""#,
        r#""\uDE00""#,
        r#""\uDE00\uD83D""#,
        r#""\uD83D\u0041""#,
        r#""\uD83D\n""#,
        r#""\uD83D\u{DE00}""#,
        r#""\uD83D""#,
        r#""\"#,
    ] {
        let document = format!("{{ f(a: {text}) }}");
        assert!(error(&document).1.is_some_and(|at| at > (1, 8)), "{text}");
    }
    for (text, expected) in [
        ("\"open", (1, 6)),
        ("\"a\nb\"", (1, 3)),
        ("\"a\rb\"", (1, 3)),
        ("\"\"\"open", (1, 8)),
        ("\"\"\"open\\\"\"\"", (1, 12)),
    ] {
        assert_eq!(error(text).1, Some(expected), "{text:?}");
    }
}

#[test]
fn block_strings_lose_their_indent_and_keep_their_escaped_quotes() {
    for (text, expected) in [
        (r#""""""""#, ""),
        (r#""""simple""""#, "simple"),
        (r#"""" white space """"#, " white space "),
        (r#""""contains " quote""""#, "contains \" quote"),
        (
            r#""""contains \""" triple quote""""#,
            "contains \"\"\" triple quote",
        ),
        (r#""""\"""""""#, "\"\"\""),
        ("\"\"\"multi\nline\"\"\"", "multi\nline"),
        (
            "\"\"\"multi\rline\r\nnormalized\"\"\"",
            "multi\nline\nnormalized",
        ),
        (
            r#""""unescaped \n\r\b\t\f\u1234""""#,
            r"unescaped \n\r\b\t\f\u1234",
        ),
        (r#""""slashes \\ \/""""#, r"slashes \\ \/"),
        ("\"\"\"unescaped \u{1f600}\"\"\"", "unescaped \u{1f600}"),
        (
            "\"\"\"\n\n        spans\n          multiple\n            lines\n\n        \"\"\"",
            "spans\n  multiple\n    lines",
        ),
        ("\"\"\"\n    a\n\n    b\n\"\"\"", "a\n\nb"),
        ("\"\"\"  a\n    b\n  c\"\"\"", "  a\n  b\nc"),
        ("\"\"\"   \n\t\n  \"\"\"", ""),
        ("\"\"\"a\n \u{a0}b\"\"\"", "a\n\u{a0}b"),
    ] {
        assert_eq!(
            value(text),
            Ok(Value::String(expected.to_owned())),
            "{text}"
        );
    }
}

#[test]
fn numbers_are_those_of_the_specification() {
    for (text, expected) in [
        ("4", number(4)),
        ("-4", number(-4)),
        ("0", number(0)),
        ("-0", number(0)),
        ("4.123", number(4.123)),
        ("-4.123", number(-4.123)),
        ("0.123", number(0.123)),
        ("123e4", number(123e4)),
        ("123E-4", number(123e-4)),
        ("123e+4", number(123e4)),
        ("-1.123e4567", Value::Null),
    ] {
        match (value(text), expected) {
            (Err(_), Value::Null) => {}
            (found, expected) => assert_eq!(found, Ok(expected), "{text}"),
        }
    }
    for text in [
        "00", "01", "01.23", "+1", "1.", "1e", "1E", "1.e1", ".123", "1.A", "-A", "1.0e", "1.0eA",
        "1.2e3e", "1.2.3", "1.2e3.4", "0xF1", "0b10", "123abc", "1_234",
    ] {
        assert!(value(text).is_err(), "{text}");
    }
}

#[test]
fn tokens_may_be_apart_by_anything_that_is_ignored() {
    for text in [
        "\u{feff}{ a }",
        "{\u{feff}a\u{feff}}",
        "{ a, b,,, c }",
        "# a comment\n{ a # another }\r b #\r\n}",
        "query\n#c\nQ\n(\n$a #c\n:\n[ #c\n Int #c\n ! ] #c\n !\n=\n[ 1 , 2 ]\n@ #c\n skip ( if : true ) ) { a }",
        "{ ...#c\non#c\nA#c\n{ b } ...#c\nF } fragment#c\nF#c\non#c\nA { b }",
        "{ ...on A { b } ...@include(if: true) { b } ...{ b } }",
        "{ a:b c : d e:f(x:1) @skip(if:true){g} }",
        "{ on: a true null on(on: on) ...onion } fragment onion on on { fragment query }",
        "query query { query } ",
        "mutation{a}subscription S{b}",
        "{ f(a: trueish, b: nullable, c: falsehood, d: {}, e: [], f: [[1] [2]]) }",
        "\"Described.\" query Q(\"\"\"Described.\"\"\" $a: Int = 1 @d) { a } \"F\" fragment F on A { b }",
        "query Q($a: Int = 1 @d, $b: [[A!]!]!) @d { a }",
    ] {
        let text = if text.starts_with("mutation{") {
            "mutation M{a}subscription S{b}"
        } else {
            text
        };
        assert!(
            parse_document(text).is_ok(),
            "{text}: {:?}",
            parse_document(text)
        );
    }
}

/// A line and a column, from 1.
type At = Option<(usize, usize)>;

/// Documents with an error: the message, and where it is.
const ERRORS: &[(&str, &str, At)] = &[
    ("", "The document has no operation.", None),
    ("# nothing", "The document has no operation.", None),
    (
        "{",
        "Expected a field, found the end of the document.",
        Some((1, 2)),
    ),
    ("{}", "Expected a field, found \"}\".", Some((1, 2))),
    ("{ a {} }", "Expected a field, found \"}\".", Some((1, 6))),
    (
        "{ a() }",
        "Expected the name of an argument, found \")\".",
        Some((1, 5)),
    ),
    (
        "query Q() { a }",
        "Expected \"$\", found \")\".",
        Some((1, 9)),
    ),
    ("{ a: }", "Expected a field, found \"}\".", Some((1, 6))),
    ("{ ...on }", "Expected a type, found \"}\".", Some((1, 9))),
    (
        "fragment on on on { on }",
        "Expected the name of a fragment, found \"on\".",
        Some((1, 10)),
    ),
    (
        "fragment F { a }",
        "Expected \"on\", found \"{\".",
        Some((1, 12)),
    ),
    (
        "notAnOperation Foo { field }",
        "Expected an operation or a fragment, found \"notAnOperation\".",
        Some((1, 1)),
    ),
    (
        "type A { a: Int }",
        "Expected an operation or a fragment, found \"type\".",
        Some((1, 1)),
    ),
    (
        "query ($a: Int = $b) { a }",
        "Expected a value, found \"$\".",
        Some((1, 18)),
    ),
    (
        "query ($a: [Int Int]) { a }",
        "Expected \"]\", found \"Int\".",
        Some((1, 17)),
    ),
    (
        "{ f(a: {b: 1 b: 2}) }",
        "The field \"b\" is given twice.",
        Some((1, 14)),
    ),
    (
        "\"d\" { a }",
        "An operation without a keyword has no description.",
        Some((1, 5)),
    ),
    (
        "{ a } { b }",
        "An operation without a name must be the only one of its document.",
        Some((1, 7)),
    ),
    (
        "{ a } query Q { b }",
        "An operation without a name must be the only one of its document.",
        Some((1, 7)),
    ),
    (
        "query Q { b } { a }",
        "An operation without a name must be the only one of its document.",
        Some((1, 15)),
    ),
    (
        "query Q { a } query Q { b }",
        "There are two operations named \"Q\".",
        Some((1, 15)),
    ),
    (
        "{ a } fragment F on A { a } fragment F on A { b }",
        "There are two fragments named \"F\".",
        Some((1, 38)),
    ),
    (
        "{ a\r\n\n  ? }",
        "The character '?' is not allowed here.",
        Some((3, 3)),
    ),
    (
        "{ \u{e4} }",
        "The character U+00E4 is not allowed here.",
        Some((1, 3)),
    ),
    (
        "{ a\u{0} }",
        "The character U+0000 is not allowed here.",
        Some((1, 4)),
    ),
    (
        "{ .. }",
        "The character '.' is not allowed here.",
        Some((1, 3)),
    ),
    (
        "{ \u{feff}\u{1f600} }",
        "The character U+1F600 is not allowed here.",
        Some((1, 4)),
    ),
];

#[test]
fn errors_name_what_was_expected_and_where() {
    for (text, message, at) in ERRORS {
        assert_eq!(error(text), ((*message).to_owned(), *at), "{text}");
    }
}

#[test]
fn deep_nesting_is_an_error_and_no_overflow() {
    for (open, close) in [("{ a ", "}"), ("{ f(a: [", "]) }")] {
        let deep = format!("{}{}{}", open.repeat(100_000), "a", close.repeat(100_000));
        assert!(parse_document(&deep).is_err());
    }
    let list = format!("{{ f(a: {}{}) }}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(error(&list).0, "The document is nested too deeply.");
}

/// Pieces of documents, from which random ones are made.
const PIECES: &[&str] = &[
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    ":",
    "=",
    "!",
    "@",
    "$",
    "...",
    "|",
    "&",
    " ",
    "\n",
    ",",
    "a",
    "b",
    "on",
    "query",
    "mutation",
    "subscription",
    "fragment",
    "F",
    "A",
    "true",
    "null",
    "1",
    "-1",
    "0",
    "1.5",
    "1e3",
    "\"t\"",
    "\"\\n\"",
    "\"\"\"b\"\"\"",
    "{ a }",
    "(a: 1)",
    "(x: $x)",
    "$x: Int",
    "@skip(if: true)",
    "...F",
    "... on A { a }",
    "fragment F on A { a }",
    "query Q",
];

/// A document without what the two parsers are known to read differently, in a text that can be
/// compared: the library's syntax tree has maps without an order.
fn comparable(document: &ExecutableDocument) -> String {
    let mut operations: Vec<_> = document
        .operations
        .iter()
        .map(|(name, operation)| format!("{name:?} {operation:?}"))
        .collect();
    operations.sort();
    let mut fragments: Vec<_> = document
        .fragments
        .iter()
        .map(|(name, fragment)| format!("{name} {fragment:?}"))
        .collect();
    fragments.sort();
    format!("{operations:?} {fragments:?}")
}

/// Compares the parser with the library's on random documents. Where the library's accepts a
/// document and this one does not, the specification is on this one's side: see the conditions.
#[test]
fn random_documents_are_read_as_the_parser_of_the_library_reads_them() {
    let (mut state, mut both) = (0x5eed_u64, 0);
    let mut below = |bound: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        usize::try_from(state >> 33).unwrap() % bound
    };
    for _ in 0..60_000 {
        let length = 1 + below(12);
        let mut text = ["", "{ ", "query Q ", "{ a "][below(4)].to_owned();
        for _ in 0..length {
            text.push(' ');
            text.push_str(PIECES[below(PIECES.len())]);
        }
        text.push_str(["", " }", "}", "} }"][below(4)]);
        match (parse_query(&text), parse_document(&text)) {
            (Ok(old), Ok(new)) => {
                both += 1;
                assert_eq!(comparable(&new), comparable(&old), "{text}");
            }
            (Ok(_), Err(error)) => {
                let known = [
                    "found \")\"",
                    "is given twice",
                    "\"on\"",
                    "There are two",
                    "not well formed",
                    "Expected a type",
                ];
                assert!(
                    known.iter().any(|known| error.to_string().contains(known)),
                    "{text}: {error}"
                );
            }
            (Err(_), _) => {}
        }
    }
    assert!(both > 500, "only {both} documents were accepted by both");
}
