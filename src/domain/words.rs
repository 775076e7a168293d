//! The words of a text, as the search knows them.
//!
//! A word is a run of letters, digits and their marks. Words are **folded**: letters lose their
//! case, accents and width, so that `cafe` finds `Café`.
//!
//! Some scripts put no spaces between words: Chinese, Japanese, Thai and others. Such text is cut
//! into overlapping pairs of characters: 東京都 becomes 東京 and 京都. So every part of it with
//! at least two characters is found. Korean is cut in the same way.
//!
//! A search index stores these words, so the same text must always give the same words. [`folding`]
//! names the rules, and an index that was built by other rules is rebuilt.

use unicode_normalization::{
    UnicodeNormalization,
    char::{decompose_canonical, is_combining_mark},
};

/// The length of a word, in characters. Only this many characters of a longer word count.
const WORD_CHARS_MAX: usize = 64;

/// The version of the rules of this module. Increase it with every change that affects the words.
const FOLDING_VERSION: u32 = 1;

/// The rules and the Unicode tables that words depend on. An index with another value is rebuilt.
pub fn folding() -> String {
    format!(
        "{FOLDING_VERSION} {:?} {:?}",
        char::UNICODE_VERSION,
        unicode_normalization::UNICODE_VERSION
    )
}

/// The words of a text, in the order of the text.
pub(super) fn words(text: &str) -> Vec<String> {
    if text.is_ascii() {
        let runs = text
            .split(|c: char| !c.is_ascii_alphanumeric())
            .filter(|run| !run.is_empty());
        return runs
            .map(|run| run[..run.len().min(WORD_CHARS_MAX)].to_ascii_lowercase())
            .collect();
    }
    let mut words = Words::default();
    for c in text.nfkc().filter(|c| !is_dropped(*c)) {
        words.take(c);
    }
    words.end();
    words.done
}

/// A text in the form in which names are compared: letters without case, accents and width. A part
/// of a text is also a part of its folded form.
pub fn folded(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for c in text.nfkc().filter(|c| !is_dropped(*c)) {
        fold(c, &mut folded);
    }
    folded
}

/// The words that find a text: its words in order, then each of its ideographs, because a single
/// ideograph may be a word.
pub fn searchable_words(text: &str) -> Vec<String> {
    let mut found = words(text);
    if !text.is_ascii() {
        let mut single: Vec<char> = text.nfkc().filter(|c| is_ideograph(*c)).collect();
        single.sort_unstable();
        single.dedup();
        found.extend(single.into_iter().map(String::from));
    }
    found
}

/// Collects words, character by character.
#[derive(Default)]
struct Words {
    done: Vec<String>,
    /// The word that has begun.
    word: String,
    /// The characters of that word so far, including those beyond [`WORD_CHARS_MAX`].
    chars: usize,
    /// The characters of the run without spaces that has begun.
    run: Vec<char>,
}

impl Words {
    fn take(&mut self, c: char) {
        let letter = c.is_alphanumeric();
        let mark = is_combining_mark(c);
        if is_unspaced(c) && (letter || mark) {
            self.end_word();
            self.run.push(c);
        } else if letter || (mark && !self.word.is_empty()) {
            self.end_run();
            self.chars += 1;
            if self.chars <= WORD_CHARS_MAX {
                fold(c, &mut self.word);
            }
        } else {
            self.end();
        }
    }

    fn end(&mut self) {
        self.end_word();
        self.end_run();
    }

    fn end_word(&mut self) {
        self.chars = 0;
        if !self.word.is_empty() {
            self.done.push(std::mem::take(&mut self.word));
        }
    }

    fn end_run(&mut self) {
        match self.run.as_slice() {
            [] => {}
            [alone] => self.done.push(alone.to_string()),
            run => self
                .done
                .extend(run.windows(2).map(|pair| pair.iter().collect::<String>())),
        }
        self.run.clear();
    }
}

/// Appends a letter without case and accents. It also replaces letters such as `ø` and `ł`, whose
/// stroke is not an accent, because people type them without the stroke.
fn fold(c: char, into: &mut String) {
    let mut push = |c: char| match c {
        _ if is_dropped(c) => {}
        'ß' => into.push_str("ss"),
        'æ' => into.push_str("ae"),
        'œ' => into.push_str("oe"),
        'ø' => into.push('o'),
        'đ' => into.push('d'),
        'ł' => into.push('l'),
        'ı' => into.push('i'),
        'ς' => into.push('σ'),
        other => into.push(other),
    };
    for lower in c.to_lowercase() {
        // Accented letters of Latin, Greek and Cyrillic are below this character. Letters above it
        // keep their marks, which distinguish them.
        if lower < '\u{2000}' {
            decompose_canonical(lower, &mut push)
        } else {
            push(lower)
        }
    }
}

/// Whether a character does not change a word: accents, vowel points of Hebrew and Arabic, joiners.
fn is_dropped(c: char) -> bool {
    matches!(
        c,
        '\u{00AD}' | '\u{0300}'..='\u{036F}' | '\u{0591}'..='\u{05BD}' | '\u{05BF}'
        | '\u{05C1}'..='\u{05C2}' | '\u{05C4}'..='\u{05C5}' | '\u{05C7}' | '\u{0640}'
        | '\u{064B}'..='\u{065F}' | '\u{0670}' | '\u{200B}'..='\u{200D}' | '\u{2060}'
        | '\u{FE00}'..='\u{FE0F}'
    )
}

/// Whether a character is of a script without spaces between words, or of Korean. Korean has
/// spaces, but its words include their particles.
fn is_unspaced(c: char) -> bool {
    is_ideograph(c)
        || matches!(
            c,
            '\u{0E00}'..='\u{0EFF}' | '\u{1000}'..='\u{109F}' | '\u{1100}'..='\u{11FF}'
            | '\u{1780}'..='\u{17FF}' | '\u{3031}'..='\u{3035}' | '\u{3040}'..='\u{312F}'
            | '\u{31A0}'..='\u{31BF}' | '\u{31F0}'..='\u{31FF}' | '\u{A960}'..='\u{A97F}'
            | '\u{AC00}'..='\u{D7FF}' | '\u{1B000}'..='\u{1B16F}'
        )
}

fn is_ideograph(c: char) -> bool {
    let in_range = matches!(
        c,
        '\u{3005}'..='\u{3007}' | '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}'
        | '\u{F900}'..='\u{FAFF}' | '\u{20000}'..='\u{3FFFF}'
    );
    // The ranges have gaps, which a later version of Unicode may fill.
    in_range && c.is_alphanumeric()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_without_case_accents_and_width() {
        for (text, expected) in [
            ("100% sure_thing", "100% sure_thing"),
            ("Äpfel APFEL a\u{308}pfel", "apfel apfel apfel"),
            ("ПРИВЕТ", "привет"),
            ("ΕΛΛΆΔΑ Ελλάδας", "ελλαδα ελλαδασ"),
            ("Café cafe\u{301} ＣＡＦＥ", "cafe cafe cafe"),
            ("Straße STRASSE", "strasse strasse"),
            ("東京 가나 हिन्दी", "東京 가나 हिन्दी"),
        ] {
            assert_eq!(folded(text), expected, "{text}");
        }
    }

    #[test]
    fn texts_become_words() {
        for (text, expected) in [
            ("Deploy the API, v1.2!", "deploy the api v1 2"),
            ("Café CAFÉ cafe\u{301}", "cafe cafe cafe"),
            (
                "Straße Łódź Ærø İstanbul Đà Nẵng",
                "strasse lodz aero istanbul da nang",
            ),
            ("Ὀδυσσεύς ёлка", "οδυσσευσ елка"),
            ("ＦＵＬＬ１２ ﬁne", "full12 fine"),
            ("don't l'école foo_bar a-b", "don t l ecole foo bar a b"),
            ("東京都へ go", "東京 京都 都へ go"),
            ("猫", "猫"),
            ("가나다 라", "가나 나다 라"),
            ("ภาษาไทย", "ภา าษ ษา าไ ไท ทย"),
            ("हिन्दी में", "हिन्दी में"),
            ("שָׁלוֹם مُحَمَّد", "שלום محمد"),
            ("soft\u{AD}hyphen می\u{200C}خواهم", "softhyphen میخواهم"),
            ("🎉 … — \u{0} ''", ""),
            ("", ""),
        ] {
            assert_eq!(words(text).join(" "), expected, "{text}");
        }
    }

    #[test]
    fn composed_and_decomposed_texts_have_the_same_words() {
        for text in ["Việt Nam", "がぎぐ", "한글", "École"] {
            let (composed, decomposed): (String, String) =
                (text.nfc().collect(), text.nfd().collect());
            assert_eq!(
                searchable_words(&composed),
                searchable_words(&decomposed),
                "{text}"
            );
        }
    }

    #[test]
    fn a_single_ideograph_is_a_word_too() {
        assert_eq!(
            searchable_words("黒い猫だ猫").join(" "),
            "黒い い猫 猫だ だ猫 猫 黒"
        );
        assert_eq!(searchable_words("no such thing").join(" "), "no such thing");
    }

    #[test]
    fn only_the_first_characters_of_a_long_word_count() {
        for (letter, folded) in [("x", "x"), ("é", "e")] {
            assert_eq!(words(&letter.repeat(5000)), [folded.repeat(WORD_CHARS_MAX)]);
        }
    }

    #[test]
    fn words_consist_of_letters_digits_and_marks() {
        let all: String = (0..=0x10FFFF)
            .filter_map(char::from_u32)
            .flat_map(|c| ['a', c, ' '])
            .collect();
        for word in searchable_words(&all) {
            assert!(
                word.chars()
                    .all(|c| c.is_alphanumeric() || is_combining_mark(c)),
                "{word:?}"
            );
        }
    }
}
