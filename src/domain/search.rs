//! Searching: the query, the score of a text, and the position of a hit in the answer.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

use super::{
    MessageId, RoomId,
    words::{searchable_words, words},
};

/// Why a search is refused. The message is for the person who typed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SearchError {
    /// Ask for a letter or a digit.
    #[error("A search needs at least one letter or digit.")]
    NoWords,
    /// Ask for a shorter search.
    #[error("The search is {bytes} bytes long; the limit is {bytes_max}.")]
    TooLong {
        /// The length of the search, in bytes.
        bytes: usize,
        /// The limit, in bytes.
        bytes_max: usize,
    },
    /// Ask for fewer words.
    #[error("The search has {words} words; the limit is {words_max}.")]
    TooManyWords {
        /// The number of words in the search.
        words: usize,
        /// The limit.
        words_max: usize,
    },
}

/// A search query: phrases that a message must all contain. A phrase is one word, or several words
/// that follow each other.
///
/// The only syntax is quotes around a phrase. Words without spaces between them are a phrase, too:
/// `v1.2` is the phrase `v1 2`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchQuery(Vec<Vec<String>>);

impl SearchQuery {
    /// Parses the text of a search. It may have at most `bytes_max` bytes and `words_max` words. In
    /// a script without spaces, each pair of characters counts as a word.
    pub fn parse(text: &str, bytes_max: usize, words_max: usize) -> Result<Self, SearchError> {
        if text.len() > bytes_max {
            return Err(SearchError::TooLong {
                bytes: text.len(),
                bytes_max,
            });
        }
        let pieces: Vec<&str> = text.split(['"', '“', '”', '„']).collect();
        let mut phrases: Vec<Vec<String>> = Vec::new();
        for (index, piece) in pieces.iter().enumerate() {
            // A quote that is not closed is ignored.
            let quoted = index % 2 == 1 && index + 1 < pieces.len();
            let chunks: Vec<&str> = if quoted {
                vec![piece]
            } else {
                piece.split_whitespace().collect()
            };
            for phrase in chunks.into_iter().map(words) {
                if !phrase.is_empty() && !phrases.contains(&phrase) {
                    phrases.push(phrase);
                }
            }
        }
        match phrases.iter().map(Vec::len).sum() {
            0 => Err(SearchError::NoWords),
            words if words > words_max => Err(SearchError::TooManyWords { words, words_max }),
            _ => Ok(Self(phrases)),
        }
    }

    /// The phrases. Each has at least one word. Words consist of letters, digits and their marks.
    pub fn phrases(&self) -> impl Iterator<Item = &[String]> {
        self.0.iter().map(Vec::as_slice)
    }

    /// The score of a text; `None` if it does not contain every phrase.
    pub fn score(&self, text: &str) -> Option<Score> {
        let words = searchable_words(text);
        let mut sum = 0;
        for phrase in &self.0 {
            let times = words
                .windows(phrase.len())
                .filter(|window| *window == phrase.as_slice())
                .count();
            if times == 0 {
                return None;
            }
            sum += weight(times as u64, words.len() as u64);
        }
        Some(Score(
            u32::try_from(sum / self.0.len() as u64).unwrap_or(u32::MAX),
        ))
    }

    /// Identifies the search for this query in this room, or in all rooms.
    fn fingerprint(&self, room: Option<&RoomId>) -> [u8; 8] {
        let mut hash = Sha256::new();
        hash.update(room.map_or("", RoomId::as_str));
        for phrase in &self.0 {
            hash.update(b"\n");
            hash.update(phrase.join(" "));
        }
        hash.finalize()[..8]
            .try_into()
            .expect("eight bytes of a longer hash")
    }
}

/// How well a message matches a query, in thousandths; more is better.
///
/// The score depends only on the message and the query. So it is the same on every page, whatever
/// is sent between two pages, and it reveals nothing about messages that the caller may not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Score(pub u32);

/// The weight of a phrase that occurs `times` times in a text of `length` words, in thousandths.
///
/// This is Okapi BM25 with k1 = 1.2, b = 0.75 and an average length of 12 words. It leaves out how
/// rare a phrase is, because every hit contains every phrase.
fn weight(times: u64, length: u64) -> u64 {
    2_200_000 * times / (1000 * times + 300 + 75 * length)
}

/// The position of a hit in the answer to a search.
///
/// The answer ranks only the messages from `oldest` to `newest`, in the order of their arrival. So
/// messages that arrive between two pages change nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SearchMark {
    /// The oldest message that the first page ranked.
    pub oldest: MessageId,
    /// The newest message that the first page ranked.
    pub newest: MessageId,
    /// The hit.
    pub message: MessageId,
    /// The score of the hit.
    pub score: Score,
}

const VERSION: u8 = 1;
const MARK_BYTES: usize = 61;

impl SearchMark {
    /// The text form, a cursor that is opaque to clients. It is the URL-safe base64 form of a
    /// version byte, the fingerprint of the search, the score and the three ids.
    pub fn text(&self, query: &SearchQuery, room: Option<&RoomId>) -> String {
        let mut bytes = Vec::with_capacity(MARK_BYTES);
        bytes.push(VERSION);
        bytes.extend(query.fingerprint(room));
        bytes.extend(self.score.0.to_be_bytes());
        for id in [self.oldest, self.newest, self.message] {
            bytes.extend(id.to_bytes());
        }
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Parses the text form of a mark of this search.
    pub fn parse(
        text: &str,
        query: &SearchQuery,
        room: Option<&RoomId>,
    ) -> Result<Self, SearchMarkError> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| SearchMarkError)?;
        if bytes.len() != MARK_BYTES
            || bytes[0] != VERSION
            || bytes[1..9] != query.fingerprint(room)
        {
            return Err(SearchMarkError);
        }
        let id = |from: usize| {
            MessageId::from_bytes(bytes[from..from + 16].try_into().expect("sixteen bytes"))
        };
        let score = Score(u32::from_be_bytes(
            bytes[9..13].try_into().expect("four bytes"),
        ));
        Ok(Self {
            oldest: id(13),
            newest: id(29),
            message: id(45),
            score,
        })
    }
}

/// The text is not a cursor of this search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("This is not a cursor of this search.")]
pub struct SearchMarkError;

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn query(text: &str) -> SearchQuery {
        SearchQuery::parse(text, 512, 16).unwrap()
    }

    #[test]
    fn a_query_is_words_and_phrases_without_syntax() {
        for (text, expected) in [
            ("deploy API", "deploy|api"),
            ("\"deploy the API\" now", "deploy the api|now"),
            ("“to be” or", "to be|or"),
            ("never \"closed here", "never|closed|here"),
            ("v1.2 foo-bar", "v1 2|foo bar"),
            ("a a A \"a\"", "a"),
            ("東京都 \"東京 go\"", "東京 京都|東京 go"),
            (
                "a AND (b OR -c) NOT NEAR(d, 2) ^e* f:g {h}: + i",
                "a|and|b|or|c|not|near d|2|e|f g|h|i",
            ),
        ] {
            let found: Vec<_> = query(text)
                .phrases()
                .map(|phrase| phrase.join(" "))
                .collect();
            assert_eq!(found.join("|"), expected, "{text}");
        }
    }

    #[test]
    fn queries_are_checked_at_their_limits() {
        assert!(SearchQuery::parse("abcd", 4, 1).is_ok());
        let too_long = SearchError::TooLong {
            bytes: 5,
            bytes_max: 4,
        };
        assert_eq!(SearchQuery::parse("abcde", 4, 1), Err(too_long));
        assert!(SearchQuery::parse("a b \"c d\"", 99, 4).is_ok());
        let too_many = SearchError::TooManyWords {
            words: 5,
            words_max: 4,
        };
        assert_eq!(SearchQuery::parse("a b \"c d e\"", 99, 4), Err(too_many));
        for empty in ["", " ", "\"\"", "\"", "*", "-(),:^{}", "🎉"] {
            assert_eq!(
                SearchQuery::parse(empty, 99, 4),
                Err(SearchError::NoWords),
                "{empty}"
            );
        }
    }

    #[test]
    fn more_occurrences_and_fewer_words_score_better() {
        let score = |asked: &str, text: &str| query(asked).score(text);
        assert!(score("cat", "cat cat dog") > score("cat", "cat dog dog"));
        assert!(score("cat", "a cat") > score("cat", "a cat on a mat"));
        assert!(score("\"big cat\"", "a big cat").is_some());
        assert_eq!(score("\"big cat\"", "a cat, big"), None);
        assert_eq!(score("cat dog", "cat"), None);
        assert!(score("猫", "黒い猫だ").is_some());
        assert!(score("cat", &"cat ".repeat(2000)).is_some_and(|score| score.0 < 2200));
    }

    #[test]
    fn a_cursor_is_bound_to_its_search() {
        let id = |n| MessageId::from_uuid(Uuid::from_u128(n));
        let mark = SearchMark {
            oldest: id(1),
            newest: id(u128::MAX),
            message: id(3),
            score: Score(u32::MAX),
        };
        let room: RoomId = "room-1".parse().unwrap();
        let text = mark.text(&query("a b"), Some(&room));
        assert_eq!(
            SearchMark::parse(&text, &query("A  b"), Some(&room)),
            Ok(mark)
        );
        assert_eq!(
            SearchMark::parse(&text, &query("b a"), Some(&room)),
            Err(SearchMarkError)
        );
        assert_eq!(
            SearchMark::parse(&text, &query("\"a b\""), Some(&room)),
            Err(SearchMarkError)
        );
        assert_eq!(
            SearchMark::parse(&text, &query("a b"), None),
            Err(SearchMarkError)
        );
        for bad in [
            "",
            "x",
            "AAAA",
            &text[1..],
            &format!("{text}AA"),
            &"A".repeat(4096),
        ] {
            assert_eq!(
                SearchMark::parse(bad, &query("a b"), Some(&room)),
                Err(SearchMarkError),
                "{bad}"
            );
        }
    }
}
